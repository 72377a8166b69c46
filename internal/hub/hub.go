// Package hub hands the frames of the board to any number of viewers.
//
// A frame is encoded and compressed once; every viewer gets the same bytes. A
// viewer costs a socket and some hundred bytes: on Linux its connection is
// taken out of net/http and written to without blocking by a few goroutines,
// elsewhere (and behind HTTP/2 or TLS) a goroutine serves it. Nobody waits for
// a viewer: one that cannot take a frame is brought to the newest state, by the
// deltas it missed or by a snapshot, when its socket can be written again.
//
// The package knows nothing of what is in a frame, and does not authenticate.
package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Snapshot is a whole state that a viewer can begin with. It is immutable.
type Snapshot interface {
	// AppendJSON appends the state as one line of JSON; sent is wall time in ms.
	AppendJSON(dst []byte, sent int64) []byte
}

// Options configure a Hub; the zero value of a field means its default.
type Options struct {
	// Epoch begins every event id and has to differ between starts of the
	// server. Default: random. Letters and digits only.
	Epoch string
	// MaxViewers bounds viewers in all. Default 16,000.
	MaxViewers int
	// MaxPerIP bounds viewers per address; negative: no bound. Default 256.
	MaxPerIP int
	// RingFrames and RingBytes bound the frames kept for viewers who resume or lag.
	// Defaults 2,048 and 2 MiB.
	RingFrames, RingBytes int
	// Heartbeat is the longest silence on a stream. Default 15 s.
	Heartbeat time.Duration
	// Stall is how long a viewer may take nothing at all before it is dropped. Default 30 s.
	Stall time.Duration
	// SendBuffer is the socket's send buffer in bytes: what a slow viewer has
	// in flight before frames are skipped. Default 8 KiB.
	SendBuffer int
	// Loops is the number of write loops on Linux. Default: one per core, at most 4.
	Loops int
	// NoRing sends to viewers one by one though the kernel has io_uring.
	NoRing bool
	// Portable serves every viewer by a goroutine, also on Linux.
	Portable bool
	Logger   *slog.Logger
}

func (o *Options) defaults() error {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.MaxViewers, 16_000)
	set(&o.MaxPerIP, 256)
	set(&o.RingFrames, 2_048)
	set(&o.RingBytes, 2<<20)
	set(&o.SendBuffer, 8<<10)
	set(&o.Loops, min(runtime.NumCPU(), runtime.GOMAXPROCS(0), 4))
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Epoch == "" {
		n, err := rand.Int(rand.Reader, big.NewInt(1<<40))
		if err != nil {
			return fmt.Errorf("make epoch: %w", err)
		}
		o.Epoch = n.Text(36)
	}
	if len(o.Epoch) > maxEpoch {
		return fmt.Errorf("make hub: epoch of %d bytes is longer than %d", len(o.Epoch), maxEpoch)
	}
	for _, c := range o.Epoch {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return fmt.Errorf("make hub: epoch %q has more than letters and digits", o.Epoch)
		}
	}
	if o.MaxViewers < 0 || o.RingFrames < 1 || o.RingBytes < 1 || o.Heartbeat < 0 || o.Stall < 0 || o.SendBuffer < 0 || o.Loops < 1 {
		return errors.New("make hub: a limit is negative")
	}
	return nil
}

// Hub fans frames out. Its methods are safe for concurrent use.
type Hub struct {
	opt    Options
	static static // bytes every viewer may get, by encoding
	loops  []*loop
	done   chan struct{} // closed when Run is about to return

	count counters

	mu       sync.Mutex
	ring     []*frame // contiguous, oldest first
	ringSize int
	last     uint64 // newest seq; 0: nothing published
	sizes    [encodings]int64
	snap     Snapshot
	base     *frame // encoded snapshot viewers may begin with
	baseAt   time.Time
	enc      *encoder
	perIP    map[netip.Addr]int
	viewers  int
	running  bool
	stopping bool
	news     chan struct{} // closed and replaced when there is something new for portable viewers
	portable sync.WaitGroup
}

type counters struct {
	frames, deliveries, bytes, skipped, stalled, refused, joined, snapshots atomic.Uint64
}

// Stats are the counters of a hub since it was made.
type Stats struct {
	Viewers    int    // connected now
	Seq        uint64 // newest frame
	Frames     uint64 // frames published
	Deliveries uint64 // frames and snapshots handed to viewers
	Bytes      uint64 // bytes handed to viewers
	Skipped    uint64 // times a slow viewer was skipped forward to a snapshot
	Stalled    uint64 // viewers dropped because they took nothing
	Refused    uint64 // viewers refused for a limit
	Joined     uint64 // viewers admitted
	Snapshots  uint64 // snapshots encoded
}

// New makes a hub; Run has to run for viewers to be served.
func New(o Options) (*Hub, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	h := &Hub{opt: o, enc: newEncoder(), perIP: make(map[netip.Addr]int), done: make(chan struct{}), news: make(chan struct{})}
	h.static = h.enc.makeStatic()
	return h, nil
}

// Epoch is the first part of every event id.
func (h *Hub) Epoch() string { return h.opt.Epoch }

// Publish hands a frame to all viewers. Frames are numbered from 1 without
// gaps; a frame that is not the next one is an error and is not sent. delta is
// one line of JSON and is copied; snap is the state after it.
func (h *Hub) Publish(seq uint64, delta []byte, snap Snapshot) error {
	h.mu.Lock()
	if seq != h.last+1 {
		last := h.last
		h.mu.Unlock()
		return fmt.Errorf("publish frame %d: the last one was %d", seq, last)
	}
	f := h.enc.frame(h.opt.Epoch, seq, "delta", delta)
	h.last, h.snap = seq, snap
	for e := range f.end {
		h.sizes[e] += int64(len(f.body[e]))
		f.end[e] = h.sizes[e]
	}
	h.push(f)
	h.signal()
	loops := h.loops
	h.mu.Unlock()
	h.count.frames.Add(1)
	for _, l := range loops {
		l.wake()
	}
	return nil
}

// push appends to the ring and lets go of what is over its bounds.
func (h *Hub) push(f *frame) {
	h.ring = append(h.ring, f)
	h.ringSize += f.size()
	drop := 0
	for len(h.ring)-drop > 1 && (len(h.ring)-drop > h.opt.RingFrames || h.ringSize > h.opt.RingBytes) {
		h.ringSize -= h.ring[drop].size()
		h.ring[drop] = nil
		drop++
	}
	h.ring = h.ring[drop:]
}

// signal wakes the portable viewers; h.mu is held.
func (h *Hub) signal() {
	close(h.news)
	h.news = make(chan struct{})
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	viewers, seq := h.viewers, h.last
	h.mu.Unlock()
	c := &h.count
	return Stats{
		Viewers: viewers, Seq: seq, Frames: c.frames.Load(), Deliveries: c.deliveries.Load(), Bytes: c.bytes.Load(),
		Skipped: c.skipped.Load(), Stalled: c.stalled.Load(), Refused: c.refused.Load(), Joined: c.joined.Load(),
		Snapshots: c.snapshots.Load(),
	}
}

// Run serves viewers until ctx ends, then tells each to come back later,
// closes all and returns nil. It runs once.
func (h *Hub) Run(ctx context.Context) error {
	loops, err := newLoops(h)
	if err != nil {
		return fmt.Errorf("run hub: %w", err)
	}
	h.mu.Lock()
	if h.running || h.stopping {
		h.mu.Unlock()
		closeLoops(loops)
		return errors.New("run hub: it ran already")
	}
	h.running, h.loops = true, loops
	h.mu.Unlock()
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { l.run(ctx) })
	}
	<-ctx.Done()
	h.mu.Lock()
	h.stopping = true
	h.signal()
	h.mu.Unlock()
	for _, l := range loops {
		l.wake()
	}
	wg.Wait()
	close(h.done)
	h.portable.Wait()
	return nil
}

// admit counts a viewer in, or says why not.
func (h *Hub) admit(ip netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopping || !h.running:
		return errStopping
	case h.viewers >= h.opt.MaxViewers:
		return errFull
	case h.opt.MaxPerIP >= 0 && h.perIP[ip] >= h.opt.MaxPerIP:
		return errPerIP
	}
	h.viewers++
	h.perIP[ip]++
	return nil
}

var (
	errStopping = errors.New("the server is starting or stopping, come back in a moment")
	errFull     = errors.New("all places for viewers are taken, come back later")
	errPerIP    = errors.New("too many viewers from this address")
)

// leave counts a viewer out.
func (h *Hub) leave(ip netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.viewers--
	if h.perIP[ip]--; h.perIP[ip] <= 0 {
		delete(h.perIP, ip)
	}
}
