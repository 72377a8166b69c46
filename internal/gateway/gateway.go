// Package gateway is a Kafka REST Proxy with Confluent's v2 API, for devices that
// can speak HTTP but no Kafka: it takes records as Avro, JSON or base64, and tells
// of topics and brokers. Avro is checked by the letter against its schema before
// anything is sent, and carries the registry's framing.
//
// It deliberately has no consumers, no v3 API, creates no topics, and keeps nothing:
// any number of gateways can stand side by side. A record whose answer is lost may
// be written twice by the client's repetition, as with Confluent's own.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/kafka"
)

const (
	defaultAddr    = "127.0.0.1:8082"
	defaultMaxBody = 1 << 20
	maxRecords     = 10_000
	maxCached      = 256      // schemas kept parsed,
	maxCachedText  = 64 << 10 // each of at most this many bytes
	maxAtOnce      = 32       // requests in work, and bodies beyond smallBody held
	smallBody      = 16 << 10
	queueWithin    = 5 * time.Second
	defaultTimeout = 10 * time.Second
	drainWithin    = 3 * time.Second
)

// Registry is what the gateway needs of a schema registry; *registry.Client is one.
type Registry interface {
	Register(ctx context.Context, subject, schema string) (event.ID, error)
	Schema(id event.ID) (string, error)
}

// Config says where a Gateway listens and what stands behind it.
type Config struct {
	Addr     string          // default 127.0.0.1:8082
	Protect  access.Listener // TLS and basic authentication; zero: neither
	Hosts    []string        // further host names that requests may be for, as of the website
	Kafka    kafka.Config
	Registry Registry
	MaxBody  int64                 // bytes of a request; default 1 MiB
	Timeout  time.Duration         // how long Kafka may take to describe a topic, and again to take a request's records; at least 1 s, default 10 s
	Logger   *slog.Logger          // nil: discard
	Metrics  prometheus.Registerer // nil: nobody counts
}

// Gateway is a REST Proxy.
type Gateway struct {
	cfg      Config
	listener net.Listener
	hosts    access.Hosts
	cl       *kgo.Client
	adm      *kadm.Client
	working  chan struct{} // a place for each request to produce whose body is there
	large    chan struct{} // a place for each body of smallBody bytes or more; bounds memory
	metrics  metrics

	mu     sync.Mutex        // guards codecs
	codecs map[string]*codec // by the schema's text
}

// New binds the listener; Run serves.
func New(cfg Config) (*Gateway, error) {
	if cfg.Addr == "" {
		cfg.Addr = defaultAddr
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = defaultMaxBody
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		return nil, errors.New("REST Proxy: no schema registry")
	}
	counts, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	cl, err := cfg.Kafka.New(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(cfg.Timeout),
		kgo.ProduceRequestTimeout(cfg.Timeout),
		// A request is answered in time even if a broker never answers: the client
		// is told to try again, and may then write the record twice.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerLinger(0),
		kgo.RecordPartitioner(choosing{kgo.StickyKeyPartitioner(nil)}),
		kgo.UnknownTopicRetries(1),
	)
	if err != nil {
		return nil, fmt.Errorf("REST Proxy: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", cfg.Addr)
	if err != nil {
		cl.Close()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("REST Proxy: %s is in use by another program: stop it, or choose another address with --gateway-addr", cfg.Addr)
		}
		return nil, fmt.Errorf("REST Proxy: %w: choose another address with --gateway-addr", err)
	}
	protected, err := cfg.Protect.Wrap(l)
	if err != nil {
		cl.Close()
		return nil, errors.Join(fmt.Errorf("REST Proxy: %w", err), l.Close())
	}
	return &Gateway{cfg: cfg, listener: protected, hosts: access.NewHosts(l.Addr(), cfg.Hosts), cl: cl, adm: kadm.NewClient(cl), working: make(chan struct{}, maxAtOnce), large: make(chan struct{}, maxAtOnce), metrics: counts, codecs: map[string]*codec{}}, nil
}

// choosing takes the partition that a record names, and lets the key decide
// where it names none (-1).
type choosing struct{ kgo.Partitioner }

func (c choosing) ForTopic(topic string) kgo.TopicPartitioner {
	return chooser{c.Partitioner.ForTopic(topic)}
}

type chooser struct{ kgo.TopicPartitioner }

func (c chooser) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.TopicPartitioner.RequiresConsistency(r)
}

func (c chooser) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets records without a key go to another partition with each batch.
// The embedded interface alone would hide that the partitioner wants to know.
func (c chooser) OnNewBatch() {
	if p, ok := c.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}

// Addr is where the gateway listens.
func (g *Gateway) Addr() string { return g.listener.Addr().String() }

// Handler is the API without the listener.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, g.metrics.count(pattern, g.answer(f)))
	}
	handle("GET /{$}", func(w http.ResponseWriter, _ *http.Request) error { return write(w, struct{}{}) })
	handle("GET /topics", g.topics)
	handle("GET /topics/{topic}", g.topic)
	handle("GET /topics/{topic}/partitions", g.partitions)
	handle("GET /topics/{topic}/partitions/{partition}", g.partition)
	handle("GET /brokers", g.brokers)
	handle("POST /topics/{topic}", g.produce)
	handle("POST /topics/{topic}/partitions/{partition}", g.produce)
	handle("/", func(w http.ResponseWriter, r *http.Request) error {
		var allow []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				allow = append(allow, method)
			}
		}
		if len(allow) == 0 {
			return &apiError{http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found"}
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return &apiError{http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "HTTP 405 Method Not Allowed"}
	})
	return mux
}

// Run serves until ctx ends, then finishes what has begun.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.cl.Close()
	srv := &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		// What reading, waiting for a place, describing, registering and producing may take together.
		WriteTimeout:   3*g.cfg.Timeout + 30*time.Second,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(g.cfg.Logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1) // one result
	go func() { ended <- srv.Serve(g.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("REST Proxy: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWithin)
	defer cancel()
	err := srv.Shutdown(drain)
	if err != nil { // somebody is still writing: they are cut off
		err = srv.Close()
	}
	return errors.Join(err, ignoreClosed(<-ended))
}

// codec parses a schema's text, once.
func (g *Gateway) codec(text string) (*codec, error) {
	g.mu.Lock()
	c, ok := g.codecs[text]
	g.mu.Unlock()
	if ok {
		return c, nil
	}
	c, err := newCodec(text)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(text) > maxCachedText {
		return c, nil
	}
	if len(g.codecs) >= maxCached {
		clear(g.codecs)
	}
	g.codecs[text] = c
	return c, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
