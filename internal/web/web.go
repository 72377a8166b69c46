// Package web is the HTTP edge: pages rendered on the server, the JSON API, the
// event stream's door, health, metrics, the website's files, and everything that
// guards them (headers, limits, origins and hosts).
//
// It deliberately keeps no state of the city (package board does), writes to no
// viewer's stream (package hub does), and knows no Kafka client: what it needs of
// the log comes through the interfaces in pipeline.go.
package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ell/internal/access"
	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/hub"
)

// Config says what a Server serves. Network, Board, Hub and Logger are required.
type Config struct {
	// Addr is where to listen, host:port. Default 127.0.0.1:8888.
	Addr string
	// Hosts are further names that requests may be for. A server that listens
	// on loopback only answers for loopback names and these; one that listens
	// elsewhere answers for any name if there are none.
	Hosts []string

	Network *cta.Network
	Board   *board.Board
	Hub     *hub.Hub

	// Control sends a command to the city; nil: the clock cannot be set from here.
	Control func(context.Context, event.Command) error
	// Ready returns why the server is not ready; none: ready.
	Ready func() []string
	// System is the document of /api/v1/system, made anew per request.
	System func() any
	// Pipeline is the document of /api/v1/pipeline; nil: there is none.
	Pipeline func() Pipeline
	// Log reads topics for the pipeline pages; nil: there is none.
	Log Log
	// Registry has the metrics that /metrics shows; the server adds its own.
	// Default: a new one.
	Registry *prometheus.Registry
	// Dist is the built website; nil or without a manifest: pages do without.
	Dist   fs.FS
	Logger *slog.Logger
	// Now is the wall clock; default time.Now.
	Now func() time.Time
}

// Limits of every request, and of stopping.
const (
	defaultAddr   = "127.0.0.1:8888"
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
	maxQuery      = 2 << 10
	maxBody       = 4 << 10
	drainTimeout  = 4 * time.Second
)

// Server is the website.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	handler  http.Handler
	pages    *pages
	network  *document
	assets   *assets
	metrics  *metrics
	byID     map[int32]*cta.Station
	draining atomic.Bool
	started  time.Time
}

// New checks the configuration and binds the listener; Run serves. A busy port is
// an error that names the setting.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	s.listener, err = lc.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for the website (is another ell running? choose another address with --http-addr): %w", s.cfg.Addr, err)
	}
	s.handler = s.routes(access.NewHosts(s.listener.Addr(), s.cfg.Hosts))
	s.http = &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// newServer is New without a listener.
func newServer(cfg Config) (*Server, error) {
	if cfg.Network == nil || cfg.Board == nil || cfg.Hub == nil || cfg.Logger == nil {
		return nil, errors.New("make website: network, board, hub and logger are required")
	}
	if cfg.Addr == "" {
		cfg.Addr = defaultAddr
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	s := &Server{cfg: cfg, started: cfg.Now(), byID: make(map[int32]*cta.Station, len(cfg.Network.Stations))}
	for _, st := range cfg.Network.Stations {
		s.byID[st.ID] = st
	}
	var err error
	if s.network, err = networkDocument(cfg.Network); err != nil {
		return nil, err
	}
	if s.assets, err = loadAssets(cfg.Dist, cfg.Network); err != nil {
		return nil, err
	}
	if s.pages, err = newPages(s); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(s); err != nil {
		return nil, err
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends; then it reports not ready, stops accepting, lets
// requests finish, and returns nil within 5 seconds. The hub is run beside it, with
// the same context, and sends the viewers away: their connections are not the server's.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve website: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	var failed error
	if err := s.http.Shutdown(drain); err != nil {
		s.cfg.Logger.WarnContext(drain, "requests cut off while stopping", "err", err)
		failed = s.http.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		failed = errors.Join(failed, fmt.Errorf("serve website: %w", err))
	}
	return failed
}

// reasons says why the server is not ready.
func (s *Server) reasons() []string {
	if s.draining.Load() {
		return []string{"stopping"}
	}
	var why []string
	if s.cfg.Ready != nil {
		why = append(why, s.cfg.Ready()...)
	}
	if s.cfg.Board.Snapshot().Seq == 0 {
		why = append(why, "nothing published yet: the board is reading the log")
	}
	return why
}
