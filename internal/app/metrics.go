package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"ell/internal/access"
)

// withMetrics runs roles, and beside them a small listener for /healthz and
// /metrics where one is asked for, which those without a website have no other.
func (p *platform) withMetrics(ctx context.Context, run func(context.Context) error) error {
	var l net.Listener
	if p.MetricsAddr != "" {
		var lc net.ListenConfig
		var err error
		if l, err = lc.Listen(ctx, "tcp", p.MetricsAddr); err != nil {
			return fmt.Errorf("listen for metrics: %w; choose another address with --metrics-addr", err)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run(ctx) })
	g.Go(func() error { return p.profiles(ctx) })
	if l == nil {
		return g.Wait()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{Timeout: 5 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	srv := &http.Server{Handler: access.NewHosts(l.Addr(), p.Hosts).Guard(mux), ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve metrics: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		return srv.Shutdown(stop)
	})
	return g.Wait()
}
