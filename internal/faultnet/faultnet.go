// Package faultnet puts a TCP proxy between a client and a server that can
// break the connection in the ways networks do: cut it (RST), let it hang, go
// silent while looking alive (half-open), slow it down, flip bits. Each
// direction is set by itself and at run time, also for connections that are
// already open.
//
// It works on streams of bytes: it cannot lose or reorder packets, since TCP
// would hide that, and it does not know the protocol it carries. It is for tests.
package faultnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Direction is the way bytes go.
type Direction int

// The two directions.
const (
	Up   Direction = iota // from client to server
	Down                  // from server to client
)

// Fault is what happens to the bytes of one direction. The zero value carries
// them as they are.
type Fault struct {
	// Stall holds bytes back: they arrive when the fault is lifted.
	Stall bool
	// Swallow takes bytes and drops them, so that the sender believes they
	// arrived: a half-open connection.
	Swallow bool
	// Rate limits a connection to so many bytes a second; 0: no limit.
	Rate int
	// CorruptEvery flips one bit in every so many bytes; 0: none. The first
	// one flipped is byte CorruptEvery.
	CorruptEvery int64
	// Mark, if set, restricts corruption to where these bytes pass by: one bit
	// is flipped in every CorruptEvery-th occurrence. A protocol protects its
	// payload, not its every field; this hits the payload.
	Mark []byte
	// CutAfter resets the connection once it has carried so many bytes since
	// the fault was set; 0: never.
	CutAfter int64
}

// Proxy listens and carries each connection to its target.
type Proxy struct {
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	dials     atomic.Int64
	corrupted atomic.Int64

	mu      sync.Mutex
	faults  [2]Fault       // guarded by mu
	changed chan struct{}  // guarded by mu; closed and replaced when faults change
	epoch   int64          // guarded by mu; counts changes of faults
	refuse  bool           // guarded by mu
	conns   map[*pair]bool // guarded by mu
	closed  bool           // guarded by mu
}

// pair is one connection through the proxy.
type pair struct {
	client, server *net.TCPConn
	once           sync.Once
	done           chan struct{} // closed when the pair is cut or finished
}

// New starts a proxy on a free loopback port to target.
func New(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", target, err)
	}
	p := &Proxy{target: target, ln: ln, changed: make(chan struct{}), conns: map[*pair]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Set changes what happens to one direction, at once and for all connections.
func (p *Proxy) Set(d Direction, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[d] = f
	p.epoch++
	close(p.changed)
	p.changed = make(chan struct{})
}

// Both sets both directions.
func (p *Proxy) Both(f Fault) {
	p.Set(Up, f)
	p.Set(Down, f)
}

// Heal lifts all faults and accepts connections again. What a stall held back
// goes on its way.
func (p *Proxy) Heal() {
	p.Refuse(false)
	p.Both(Fault{})
}

// Cut resets every open connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
	}
}

// Refuse resets new connections as soon as they are made, or stops doing so.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = on
}

// Dials is how many connections clients have made.
func (p *Proxy) Dials() int64 { return p.dials.Load() }

// Corrupted is how many bits have been flipped.
func (p *Proxy) Corrupted() int64 { return p.corrupted.Load() }

// Close stops listening, resets what is open and waits for it to end.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.reset()
	}
	p.mu.Unlock()
	err := p.ln.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return // closed
		}
		p.dials.Add(1)
		p.wg.Go(func() { p.carry(c.(*net.TCPConn)) })
	}
}

// carry connects one client to the target and waits until either side ends.
func (p *Proxy) carry(client *net.TCPConn) {
	p.mu.Lock()
	refuse := p.refuse || p.closed
	p.mu.Unlock()
	if refuse {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	c := &pair{client: client, server: server.(*net.TCPConn), done: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.conns[c] = true
	p.mu.Unlock()
	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(c, Up, c.client, c.server) })
	pumps.Go(func() { p.pump(c, Down, c.server, c.client) })
	pumps.Wait()
	c.close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// pump carries one direction until it ends.
func (p *Proxy) pump(c *pair, d Direction, from, to *net.TCPConn) {
	buf := make([]byte, 16<<10)
	var carried, marks, epoch int64 // carried and marks: since the fault was set
	for {
		n, err := from.Read(buf)
		rest := buf[:n]
		for len(rest) > 0 {
			f, e, changed := p.fault(d)
			if e != epoch {
				epoch, carried, marks = e, 0, 0
			}
			if f.Stall {
				select {
				case <-changed:
					continue
				case <-c.done:
					return
				}
			}
			piece := rest
			if f.Rate > 0 {
				piece = piece[:min(len(piece), max(1, f.Rate/20))]
			}
			if f.CutAfter > 0 {
				piece = piece[:min(int64(len(piece)), f.CutAfter-carried)]
			}
			p.corrupt(f, piece, carried, &marks)
			if !f.Swallow {
				if _, err := to.Write(piece); err != nil {
					c.close()
					return
				}
			}
			carried += int64(len(piece))
			rest = rest[len(piece):]
			if f.CutAfter > 0 && carried >= f.CutAfter {
				c.reset()
				return
			}
			if f.Rate > 0 {
				select {
				case <-time.After(time.Duration(len(piece)) * time.Second / time.Duration(f.Rate)):
				case <-c.done:
					return
				}
			}
		}
		if err != nil {
			// A half-open peer does not hear that the other has gone.
			if f, _, _ := p.fault(d); f.Swallow || f.Stall {
				<-c.done
				return
			}
			c.close()
			return
		}
	}
}

func (p *Proxy) fault(d Direction) (f Fault, epoch int64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults[d], p.epoch, p.changed
}

// corrupt flips one bit in every CorruptEvery bytes of piece, which begins
// carried bytes into the stream, or in every CorruptEvery-th mark. A mark that
// is cut in two by reading is not seen.
func (p *Proxy) corrupt(f Fault, piece []byte, carried int64, marks *int64) {
	if f.CorruptEvery <= 0 {
		return
	}
	if len(f.Mark) > 0 {
		for at := 0; ; at += len(f.Mark) {
			i := bytes.Index(piece[at:], f.Mark)
			if i < 0 {
				return
			}
			at += i
			if *marks++; *marks%f.CorruptEvery == 0 {
				piece[at] ^= 1
				p.corrupted.Add(1)
			}
		}
	}
	for at := f.CorruptEvery - 1 - carried%f.CorruptEvery; at < int64(len(piece)); at += f.CorruptEvery {
		piece[at] ^= 1 << (at % 8)
		p.corrupted.Add(1)
	}
}

func (c *pair) close() {
	c.once.Do(func() {
		close(c.done)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

func (c *pair) reset() {
	c.once.Do(func() {
		close(c.done)
		reset(c.client)
		reset(c.server)
	})
}

// reset closes with RST instead of FIN.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Net dials through proxies, one for each address, so that a client that is
// told addresses by the server (as Kafka's are) cannot go round them.
type Net struct {
	mu      sync.Mutex
	proxies map[string]*Proxy // guarded by mu; by target
	each    func(*Proxy)      // guarded by mu; applied to proxies made later
}

// DialContext dials addr through its proxy. It fits kgo.Dialer and net/http.
func (n *Net) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	p, err := n.Proxy(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, p.Addr())
}

// Proxy returns the proxy of a target, starting it if need be.
func (n *Net) Proxy(target string) (*Proxy, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.proxies[target]; p != nil {
		return p, nil
	}
	p, err := New(target)
	if err != nil {
		return nil, err
	}
	if n.proxies == nil {
		n.proxies = map[string]*Proxy{}
	}
	n.proxies[target] = p
	if n.each != nil {
		n.each(p)
	}
	return p, nil
}

// Each applies fn to every proxy there is and, until the next call, to every
// one made later.
func (n *Net) Each(fn func(*Proxy)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.each = fn
	for _, p := range n.proxies {
		fn(p)
	}
}

// Dials is how many connections have been made through all proxies.
func (n *Net) Dials() (total int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.proxies {
		total += p.Dials()
	}
	return total
}

// Close closes all proxies.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, p := range n.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
