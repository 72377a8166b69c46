//go:build linux

package contest

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/centrifugal/centrifuge"

	"ell/bench/fanout/payload"
)

// channel is the one that all viewers are subscribed to.
const channel = "frames"

// node makes a node whose viewers are subscribed by the server and are given
// the whole state in the connect reply. There is no history, no presence and
// no log: what the work does not need is off.
func node(st *state) (*centrifuge.Node, error) {
	n, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelNone})
	if err != nil {
		return nil, fmt.Errorf("make node: %w", err)
	}
	n.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		_, whole := st.snapshot()
		return centrifuge.ConnectReply{
			Credentials:   &centrifuge.Credentials{},
			Data:          whole,
			Subscriptions: map[string]centrifuge.SubscribeOptions{channel: {}},
		}, nil
	})
	n.OnConnect(func(*centrifuge.Client) {})
	if err := n.Run(); err != nil {
		return nil, fmt.Errorf("run node: %w", err)
	}
	return n, nil
}

func publisher(n *centrifuge.Node, st *state) func(payload.Header) error {
	return func(h payload.Header) error {
		_, err := n.Publish(channel, st.Append(nil, h))
		return err
	}
}

// startCentrifuge is the library as its documentation shows it: its own handler
// for Server-Sent Events.
func startCentrifuge(ctx context.Context, st *state) (server, error) {
	n, err := node(st)
	if err != nil {
		return server{}, err
	}
	// The viewers here cannot pong; the pings would end them.
	quiet := centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1}
	addr, err := listen(ctx, centrifuge.NewSSEHandler(n, centrifuge.SSEConfig{PingPongConfig: quiet}))
	return server{addr, publisher(n, st)}, err
}

// startCentrifugeFast is the fastest form found that keeps the library's queues,
// which are what it is used for: a transport of its own that is
// unidirectional (no reply wrapped around a push) and writes to the connection
// where the library calls it, without a second goroutine's wake-up and
// without a copy.
func startCentrifugeFast(ctx context.Context, st *state) (server, error) {
	n, err := node(st)
	if err != nil {
		return server{}, err
	}
	addr, err := listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sseHeaders(w)
		t := &transport{w: w, rc: http.NewResponseController(w), closed: make(chan struct{})}
		c, closeClient, err := centrifuge.NewClient(r.Context(), n, t)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		c.Connect(centrifuge.ConnectRequest{})
		select {
		case <-r.Context().Done():
		case <-t.closed:
		}
		_ = closeClient() // the connection is gone
		t.mu.Lock()       // no write may outlive the handler
		t.over = true
		t.mu.Unlock()
	}))
	return server{addr, publisher(n, st)}, err
}

type transport struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	closed chan struct{}
	once   sync.Once
	mu     sync.Mutex
	over   bool
}

func (*transport) Name() string                                { return "uni_sse" }
func (*transport) AcceptProtocol() string                      { return "h1" }
func (*transport) Protocol() centrifuge.ProtocolType           { return centrifuge.ProtocolTypeJSON }
func (*transport) ProtocolVersion() centrifuge.ProtocolVersion { return centrifuge.ProtocolVersion2 }
func (*transport) Unidirectional() bool                        { return true }
func (*transport) Emulation() bool                             { return false }
func (*transport) DisabledPushFlags() uint64                   { return 0 }
func (*transport) PingPongConfig() centrifuge.PingPongConfig {
	return centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1}
}

func (t *transport) Write(m []byte) error { return t.WriteMany(m) }

func (t *transport) WriteMany(ms ...[]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return http.ErrServerClosed
	}
	for _, m := range ms {
		for _, b := range [...][]byte{[]byte("data: "), m, []byte("\n\n")} {
			if _, err := t.w.Write(b); err != nil {
				return err
			}
		}
	}
	return t.rc.Flush()
}

func (t *transport) Close(centrifuge.Disconnect) error {
	t.once.Do(func() { close(t.closed) })
	return nil
}
