//go:build linux

package contest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ell/bench/fanout/payload"
	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/hub"
	"ell/internal/web"
)

// noSchemas is for a board that nothing is applied to.
type noSchemas struct{}

func (noSchemas) Schema(event.ID) (string, error) { return "", errors.New("no schemas here") }

// snapshotter gives the hub the state that other contestants give as well.
type snapshotter struct {
	*payload.Maker
	h payload.Header
}

func (s snapshotter) AppendJSON(dst []byte, _ int64) []byte { return s.Append(dst, s.h) }

// startEll is Ell from its HTTP edge on: the website's server with its
// routes and guards, and the hub as `ell` sets it up. Frames come from the
// benchmark instead of the board.
func startEll(ctx context.Context, st *state) (server, error) {
	return runEll(ctx, st, hub.Options{})
}

// startEllPlain is the same where the kernel has no io_uring or keeps it from ell,
// as the default profile of containers does.
func startEllPlain(ctx context.Context, st *state) (server, error) {
	return runEll(ctx, st, hub.Options{NoRing: true})
}

func runEll(ctx context.Context, st *state, o hub.Options) (server, error) {
	log := slog.New(slog.DiscardHandler)
	b, err := board.New(board.Options{Network: cta.Chicago(), Decoder: event.NewDecoder(noSchemas{}), Names: event.Names{Prefix: "bench."}})
	if err != nil {
		return server{}, err
	}
	o.MaxViewers, o.Logger = 20_000, log
	h, err := hub.New(o)
	if err != nil {
		return server{}, err
	}
	w, err := web.New(ctx, web.Config{Addr: "127.0.0.1:0", Network: cta.Chicago(), Board: b, Hub: h, Logger: log})
	if err != nil {
		return server{}, err
	}
	failed := make(chan error, 2)
	go func() { failed <- h.Run(ctx) }()
	go func() { failed <- w.Run(ctx) }()
	select {
	case err := <-failed:
		return server{}, fmt.Errorf("ended at once: %w", err)
	case <-time.After(100 * time.Millisecond): // the hub refuses viewers until it runs
	}
	publish := func(hd payload.Header) error {
		whole := hd
		whole.Kind = payload.State
		return h.Publish(hd.Seq, st.Append(nil, hd), snapshotter{st.Maker, whole})
	}
	return server{addr: w.Addr(), publish: publish}, nil
}
