// Package kafka makes Kafka clients and is the only place that does: one
// Config says how to reach a cluster, and New turns it into a kgo.Client with
// this project's defaults. Around that it creates topics and names where
// existing ones differ (EnsureTopics), sorts errors into three classes
// (Classify), follows topics from their beginning (Follower) and reads small
// compacted tables (ReadTable).
//
// It deliberately knows nothing of what is in a record, joins no consumer
// group and runs no transaction: that is the exactly package's work.
package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"ell/internal/access"
)

// metadataMinAge is how soon a client may ask for metadata again.
const metadataMinAge = 100 * time.Millisecond

// SASL mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// SASL says how to authenticate. The zero value is no authentication.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  access.Secret
}

// Config says how to reach a cluster. It is a value: copy it and change the
// client id for another role.
type Config struct {
	Brokers  []string    // host:port
	ClientID string      // empty: "ell"
	TLS      *access.TLS // nil: plain TCP
	SASL     SASL
	// Compression of produced batches: "none" (also empty) or "gzip". Others
	// are refused, because not every client can read them.
	Compression string
	Logger      *slog.Logger // nil: discard
}

// LogValue shows where the configuration points, without secrets.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Any("brokers", c.Brokers),
		slog.String("client_id", c.ClientID),
		slog.Bool("tls", c.TLS != nil),
		slog.String("sasl", c.SASL.Mechanism),
		slog.String("user", c.SASL.User),
	)
}

// Validate reports every fault of the configuration at once. It contacts
// nobody and opens no file.
func (c Config) Validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("no Kafka brokers: set --brokers to host:port[,host:port]"))
	}
	for _, b := range c.Brokers {
		if err := checkAddress(b); err != nil {
			errs = append(errs, fmt.Errorf("kafka broker %q: %w", b, err))
		}
	}
	if c.TLS != nil {
		if err := c.TLS.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("kafka TLS: %w", err))
		}
	}
	errs = append(errs, c.SASL.validate(c.TLS != nil)...)
	if _, err := codec(c.Compression); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s SASL) validate(encrypted bool) []error {
	var errs []error
	switch s.Mechanism {
	case "":
		if s.User != "" || s.Password != "" {
			errs = append(errs, errors.New("kafka SASL: user or password without a mechanism: set PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"))
		}
		return errs
	case Plain, ScramSHA256, ScramSHA512:
	default:
		errs = append(errs, fmt.Errorf("kafka SASL: unknown mechanism %q: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism))
	}
	if s.User == "" {
		errs = append(errs, errors.New("kafka SASL: no user"))
	}
	if s.Password == "" {
		errs = append(errs, errors.New("kafka SASL: no password: set ELL_KAFKA_PASSWORD or name a file with --kafka-password-file"))
	}
	if s.Mechanism == Plain && !encrypted {
		errs = append(errs, errors.New("kafka SASL: PLAIN without TLS would send the password in the clear: turn TLS on or use SCRAM"))
	}
	return errs
}

func checkAddress(addr string) error {
	if strings.Contains(addr, "://") {
		return errors.New("want host:port without a scheme")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("want host:port")
	}
	if host == "" {
		return errors.New("host is empty")
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return nil
}

func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("kafka compression %q: use none or gzip, which every client can read", name)
}

// New makes a client with this project's defaults; opts come last and win. It
// reads the files the configuration names but contacts no broker: the first
// request does. The caller closes the client.
func (c Config) New(opts ...kgo.Opt) (*kgo.Client, error) {
	base, err := c.Options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	return cl, nil
}

// Options are what every client of this configuration starts with, for those
// who make several of their own. It reads the files the configuration names.
func (c Config) Options() ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	compression, err := codec(c.Compression)
	if err != nil {
		return nil, err
	}
	id := c.ClientID
	if id == "" {
		id = "ell"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(id),
		kgo.SoftwareNameAndVersion("ell", "1"),
		kgo.ProducerBatchCompression(compression),
		// A broker that is away is retried for as long as a role is willing to
		// wait, but one connection attempt or one answer is bounded.
		kgo.DialTimeout(5 * time.Second),
		kgo.RequestTimeoutOverhead(10 * time.Second),
		// Metadata of a topic that was just created or moved is asked for
		// again soon; the default of 5 s would be most of a start-up.
		kgo.MetadataMinAge(metadataMinAge),
		kgo.FetchMaxWait(time.Second),
		// Nobody reads the telemetry, and closing a client would wait to push it.
		kgo.DisableClientMetrics(),
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(clientLogger{c.Logger}))
	}
	if c.TLS != nil {
		t, err := c.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("kafka TLS: %w", err)
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	if c.SASL.Mechanism != "" {
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	return opts, nil
}

func (s SASL) mechanism() sasl.Mechanism {
	pass := string(s.Password)
	switch s.Mechanism {
	case Plain:
		return plain.Auth{User: s.User, Pass: pass}.AsMechanism()
	case ScramSHA256:
		return scram.Auth{User: s.User, Pass: pass}.AsSha256Mechanism()
	default:
		return scram.Auth{User: s.User, Pass: pass}.AsSha512Mechanism()
	}
}
