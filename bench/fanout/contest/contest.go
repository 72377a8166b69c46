//go:build linux

// Package contest has the servers that the fan-out benchmark compares. Each is
// written as its users would write it, hands out the same payloads over
// Server-Sent Events, gives every viewer the whole state first, and runs in a
// process of its own, which Serve is.
//
// They are measured from outside; no contestant measures itself.
package contest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"ell/bench/fanout/payload"
)

// Contestant is one way to serve.
type Contestant struct {
	Name string
	// About says in a few words what it is.
	About string
	// Path is what viewers ask for.
	Path string
	// Gzip: viewers say that they read gzip.
	Gzip  bool
	start func(ctx context.Context, st *state) (server, error)
}

// server is a contestant that runs.
type server struct {
	addr net.Addr
	// publish hands a frame to all viewers; it may return before they have it.
	publish func(h payload.Header) error
}

// state is what a viewer begins with.
type state struct {
	*payload.Maker
	newest atomic.Pointer[payload.Header]
}

// snapshot returns the whole state as it is now, and its number.
func (s *state) snapshot() (uint64, []byte) {
	h := *s.newest.Load()
	h.Kind = payload.State
	return h.Seq, s.Append(nil, h)
}

// All are the contestants, Ell first.
func All() []Contestant {
	return []Contestant{
		{Name: "ell", About: "internal/hub behind internal/web", Path: "/api/v1/stream", start: startEll},
		{Name: "ell-gzip", About: "the same, compressed once for all, as browsers ask for it", Path: "/api/v1/stream", Gzip: true, start: startEll},
		{Name: "ell-plain", About: "the same where there is no io_uring", Path: "/api/v1/stream", start: startEllPlain},
		{Name: "send", About: "a bare loop of send(2): the limit", Path: "/", start: startSend},
		{Name: "nethttp", About: "net/http, a handler and a channel per viewer", Path: "/", start: startNetHTTP},
		{Name: "nethttp-fast", About: "net/http, shared bytes, one wake-up for all", Path: "/", start: startNetHTTPFast},
		{Name: "centrifuge", About: "centrifuge's own SSE transport, server-side subscription", Path: "/?cf_connect=%7B%22id%22%3A1%2C%22connect%22%3A%7B%7D%7D", start: startCentrifuge},
		{Name: "centrifuge-fast", About: "centrifuge, a unidirectional transport that writes in place", Path: "/", start: startCentrifugeFast},
	}
}

// Find returns the contestant of a name.
func Find(name string) (Contestant, error) {
	all := All()
	i := slices.IndexFunc(all, func(c Contestant) bool { return c.Name == name })
	if i < 0 {
		return Contestant{}, fmt.Errorf("no contestant is called %q", name)
	}
	return all[i], nil
}

// Request is what a viewer sends.
func (c Contestant) Request() []byte {
	accept := ""
	if c.Gzip {
		accept = "Accept-Encoding: gzip\r\n"
	}
	return []byte("GET " + c.Path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n" + accept + "\r\n")
}

// Serve runs a contestant with frames of size bytes. It writes "at ADDRESS" to out,
// then reads orders from in, one a line: "publish N PERIOD_NS" publishes N frames,
// each due a period after the last, and answers "published SEQ". It ends with in.
func Serve(ctx context.Context, c Contestant, size int, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	maker, err := payload.New(size)
	if err != nil {
		return err
	}
	st := &state{Maker: maker}
	st.newest.Store(&payload.Header{})
	s, err := c.start(ctx, st)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	seq := uint64(0)
	publish := func(due time.Time) error {
		seq++
		h := payload.Header{Kind: payload.Frame, Seq: seq, Sent: due.UnixMicro()}
		st.newest.Store(&h)
		return s.publish(h)
	}
	if err := publish(time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(out, "at %s\n", s.addr)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var n int
		var period time.Duration
		if _, err := fmt.Sscanf(lines.Text(), "publish %d %d", &n, &period); err != nil {
			return fmt.Errorf("order %q: %w", lines.Text(), err)
		}
		// Frames are timed from when they are due: a server that publishes late is late.
		due := time.Now().Add(period)
		for range n {
			time.Sleep(time.Until(due))
			if err := publish(due); err != nil {
				return err
			}
			due = due.Add(period)
		}
		fmt.Fprintf(out, "published %d\n", seq)
	}
	return nil
}

// listen serves a handler on a free port until ctx ends.
func listen(ctx context.Context, h http.Handler) (net.Addr, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with the process
	return l.Addr(), nil
}
