//go:build linux

package contest

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"ell/bench/fanout/payload"
)

// message is a payload as Server-Sent Event.
func message(seq uint64, data []byte) []byte {
	b := append(strconv.AppendUint([]byte("id: "), seq, 10), "\ndata: "...)
	return append(append(b, data...), "\n\n"...)
}

func sseHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
}

// news is what idiomatic handlers get from their channel.
type news struct {
	seq  uint64
	data []byte
}

// startNetHTTP is what most programs do: a channel per viewer in a map, a
// handler that formats and flushes, and a viewer who is slow misses frames.
func startNetHTTP(ctx context.Context, st *state) (server, error) {
	var mu sync.Mutex
	viewers := map[chan news]struct{}{}
	addr, err := listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ch := make(chan news, 16)
		mu.Lock()
		viewers[ch] = struct{}{}
		mu.Unlock()
		defer func() {
			mu.Lock()
			delete(viewers, ch)
			mu.Unlock()
		}()
		sseHeaders(w)
		rc := http.NewResponseController(w)
		seq, whole := st.snapshot()
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", seq, whole)
		for rc.Flush() == nil {
			select {
			case <-r.Context().Done():
				return
			case e := <-ch:
				fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.seq, e.data)
			}
		}
	}))
	publish := func(h payload.Header) error {
		e := news{h.Seq, st.Append(nil, h)}
		mu.Lock()
		defer mu.Unlock()
		for ch := range viewers {
			select {
			case ch <- e:
			default: // slow
			}
		}
		return nil
	}
	return server{addr, publish}, err
}

// link is a frame in the chain that viewers walk along.
type link struct {
	seq  uint64
	body []byte
	next chan struct{} // closed when after is set
	then *link
}

// startNetHTTPFast is the least that net/http can do for a frame: formatted once,
// every handler woken by one closed channel, one write and one flush.
func startNetHTTPFast(ctx context.Context, st *state) (server, error) {
	var tip atomic.Pointer[link]
	tip.Store(&link{next: make(chan struct{})})
	addr, err := listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sseHeaders(w)
		rc := http.NewResponseController(w)
		at := tip.Load()
		h := payload.Header{Kind: payload.State, Seq: at.seq}
		_, err := w.Write(message(at.seq, st.Append(nil, h)))
		gone := r.Context().Done()
		for err == nil && rc.Flush() == nil {
			select {
			case <-gone:
				return
			case <-at.next:
				at = at.then
				_, err = w.Write(at.body)
			}
		}
	}))
	publish := func(h payload.Header) error {
		l := &link{seq: h.Seq, body: message(h.Seq, st.Append(nil, h)), next: make(chan struct{})}
		last := tip.Swap(l)
		last.then = l
		close(last.next)
		return nil
	}
	return server{addr, publish}, err
}
