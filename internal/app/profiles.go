package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"ell/internal/access"
)

// profiles serves Go's profiles on an address of its own until ctx ends, where
// one is asked for. They tell of memory and command line, so they are off unless asked for.
func (p *platform) profiles(ctx context.Context) error {
	if p.DebugAddr == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", p.DebugAddr)
	if err != nil {
		return fmt.Errorf("listen for profiles: %w; choose another address with --debug-addr", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: access.NewHosts(l.Addr(), p.Hosts).Guard(mux), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() }) //nolint:errcheck // it ends either way
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve profiles: %w", err)
	}
	return nil
}
