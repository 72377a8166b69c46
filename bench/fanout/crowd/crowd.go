//go:build linux

// Package crowd is a great number of viewers of a stream of Server-Sent Events in
// one thread: plain HTTP/1.1 over sockets of 127.0.0.0/8, watched with epoll.
//
// It is built to cost far less than what it measures: a viewer is a socket and
// some words, a message is hashed and looked up, and only the first copy of it is
// decompressed and held against what was published byte for byte. It does not
// reconnect, and speaks neither TLS nor HTTP/2.
package crowd

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// Message is what a viewer needs to know of a message.
type Message struct {
	Seq   uint64 // number of the state that it leads to
	Sent  int64  // wall time in µs at which it was due; 0: it is not timed
	Whole bool   // a viewer can begin with it
	Skip  bool   // no message that counts: a heartbeat, a greeting
}

// Config says whom the crowd watches. All fields are required but Gzip.
type Config struct {
	Server netip.AddrPort // IPv4
	// Request is the whole request that each viewer sends.
	Request []byte
	// Read reads one message of the stream, decompressed. An error ends the run.
	Read func(message []byte) (Message, error)
}

// Crowd is all viewers. One goroutine uses it.
type Crowd struct {
	cfg     Config
	epfd    int
	viewers []*viewer
	events  []syscall.EpollEvent
	buf     []byte
	known   map[uint64]Message // by hash
	seed    maphash.Seed
	arrived int // viewers that have got a message

	// Late is the time from publication to receipt of every timed message since
	// it was reset.
	Late Histogram
	// Tally counts since it was reset.
	Tally Tally
	// Newest is when the newest message was read, to a tenth of a millisecond.
	Newest time.Time
}

// Tally counts what all viewers got.
type Tally struct {
	Deliveries uint64 // messages that count
	Bytes      uint64 // on the wire, after the connection was made
	Missed     uint64 // messages a viewer was not given, because newer ones took their place
	Lost       uint64 // viewers whose connection ended
}

type viewer struct {
	stream
	fd        int
	seq       uint64
	whole     bool // the newest message it got was the whole state
	connected bool
}

// New makes a crowd of nobody.
func New(cfg Config) (*Crowd, error) {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll set: %w", err)
	}
	return &Crowd{
		cfg: cfg, epfd: epfd, events: make([]syscall.EpollEvent, 512), buf: make([]byte, 256<<10),
		known: make(map[uint64]Message), seed: maphash.MakeSeed(),
	}, nil
}

// perAddress is the number of viewers that share a source address.
const perAddress = 100

// opening bounds the connections that wait to be accepted.
const opening = 500

// Join lets n more viewers connect, and returns when each has got its first message.
func (c *Crowd) Join(ctx context.Context, n int) error {
	begun, lost := c.arrived, c.Tally.Lost
	for opened := 0; c.arrived < begun+n; {
		for ; opened < n && opened-(c.arrived-begun) < opening; opened++ {
			if err := c.connect(); err != nil {
				return err
			}
		}
		if err := c.Poll(5 * time.Millisecond); err != nil {
			return err
		}
		if c.Tally.Lost > lost {
			return fmt.Errorf("%d of %d viewers have joined, %d were sent away", c.arrived-begun, n, c.Tally.Lost-lost)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d of %d viewers have joined: %w", c.arrived-begun, n, err)
		}
	}
	return nil
}

func (c *Crowd) connect() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make socket of viewer %d (is the limit of open files high enough?): %w", len(c.viewers), err)
	}
	slot, host := len(c.viewers), len(c.viewers)/perAddress
	v := &viewer{fd: fd}
	c.viewers = append(c.viewers, v)
	// The port is chosen when connecting, so that every address has all ports.
	const bindNoPort = 24
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindNoPort, 1); err != nil {
		return fmt.Errorf("let viewer's port be chosen late: %w", err)
	}
	from := &syscall.SockaddrInet4{Addr: [4]byte{127, 1, byte(host >> 8), byte(host)}}
	if err := syscall.Bind(fd, from); err != nil {
		return fmt.Errorf("bind viewer to %v: %w", from.Addr, err)
	}
	to := &syscall.SockaddrInet4{Port: int(c.cfg.Server.Port()), Addr: c.cfg.Server.Addr().As4()}
	if err := syscall.Connect(fd, to); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		return fmt.Errorf("connect viewer %d: %w", slot, err)
	}
	ev := syscall.EpollEvent{Events: syscall.EPOLLOUT, Fd: int32(slot)} //nolint:gosec // some thousands
	if err := syscall.EpollCtl(c.epfd, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("watch viewer %d: %w", slot, err)
	}
	return nil
}

// Poll takes what has come, and waits at most for a time if there is nothing.
func (c *Crowd) Poll(wait time.Duration) error {
	n, err := syscall.EpollWait(c.epfd, c.events, int(wait.Milliseconds()))
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return fmt.Errorf("wait for events: %w", err)
	}
	for i, ev := range c.events[:max(n, 0)] {
		if i%oneClock == 0 {
			c.Newest = time.Now()
		}
		v := c.viewers[ev.Fd]
		if v == nil {
			continue
		}
		if !v.connected {
			if err := c.ask(v, ev.Fd); err != nil {
				return fmt.Errorf("viewer %d: %w", ev.Fd, err)
			}
			continue
		}
		if err := c.take(v); errors.Is(err, errEnded) {
			c.Tally.Lost++
			c.leave(int(ev.Fd))
		} else if err != nil {
			return fmt.Errorf("viewer %d: %w", ev.Fd, err)
		}
	}
	return nil
}

// ask sends the request of a viewer whose connection is made.
func (c *Crowd) ask(v *viewer, slot int32) error {
	if code, err := syscall.GetsockoptInt(v.fd, syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil || code != 0 {
		return fmt.Errorf("connect: %w", errors.Join(err, syscall.Errno(code))) //nolint:gosec // an errno
	}
	if _, err := syscall.Write(v.fd, c.cfg.Request); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	v.connected = true
	const edge = 1 << 31 // EPOLLET: no second look at a socket that was emptied
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: slot}
	if err := syscall.EpollCtl(c.epfd, syscall.EPOLL_CTL_MOD, v.fd, &ev); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return nil
}

var errEnded = errors.New("the server ended the connection")

// oneClock is the number of viewers who share a look at the clock, which costs as
// much as a fifth of a read: times are exact to a tenth of a millisecond.
const oneClock = 16

// take reads until the socket is empty, which a read that does not fill the buffer tells.
func (c *Crowd) take(v *viewer) error {
	for {
		n, err := rawRead(v.fd, c.buf)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case n == 0 || errors.Is(err, syscall.ECONNRESET):
			return errEnded
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		c.Tally.Bytes += uint64(n) //nolint:gosec // positive
		if err := v.feed(c.buf[:n], func(b []byte) error { return c.message(v, b) }); err != nil || n < len(c.buf) {
			return err
		}
	}
}

func (c *Crowd) message(v *viewer, b []byte) error {
	hash := maphash.Bytes(c.seed, b)
	m, ok := c.known[hash]
	if !ok {
		var err error
		if m, err = c.read(v, b); err != nil {
			return err
		}
		if len(c.known) > 1<<14 {
			clear(c.known)
		}
		c.known[hash] = m
	}
	switch {
	case m.Skip:
		return nil
	case v.seq == 0:
		c.arrived++
	case m.Seq == v.seq && v.whole:
		return nil // published while the viewer was given the state, which has it
	case m.Seq <= v.seq:
		return fmt.Errorf("got message %d after %d", m.Seq, v.seq)
	default:
		c.Tally.Missed += m.Seq - v.seq - 1
		if m.Sent != 0 {
			c.Late.Add(c.Newest.UnixMicro() - m.Sent)
		}
	}
	c.Tally.Deliveries++
	v.seq, v.whole = m.Seq, m.Whole
	return nil
}

func (c *Crowd) read(v *viewer, b []byte) (Message, error) {
	if v.gzip {
		plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(b)))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // a flush is no end
			return Message{}, fmt.Errorf("decompress message: %w", err)
		}
		if !bytes.HasSuffix(plain, blank) {
			return Message{}, fmt.Errorf("message is cut off after %d bytes", len(plain))
		}
		b = plain
	}
	return c.cfg.Read(b)
}

// Behind is the number of viewers that have not got message seq.
func (c *Crowd) Behind(seq uint64) int {
	n := 0
	for _, v := range c.viewers {
		if v != nil && v.seq < seq {
			n++
		}
	}
	return n
}

// Size is the number of viewers.
func (c *Crowd) Size() int {
	n := 0
	for _, v := range c.viewers {
		if v != nil {
			n++
		}
	}
	return n
}

// Reset begins to count anew.
func (c *Crowd) Reset() {
	c.Late.Reset()
	c.Tally = Tally{}
}

// Leave lets the newest n viewers go at once.
func (c *Crowd) Leave(n int) {
	for slot := len(c.viewers) - 1; slot >= 0 && n > 0; slot-- {
		if c.viewers[slot] != nil {
			c.leave(slot)
			n--
		}
	}
	end := len(c.viewers)
	for end > 0 && c.viewers[end-1] == nil {
		end--
	}
	c.viewers = c.viewers[:end]
}

func (c *Crowd) leave(slot int) {
	v := c.viewers[slot]
	c.viewers[slot] = nil
	if v.seq != 0 {
		c.arrived--
	}
	_ = syscall.Close(v.fd) // nobody is left to hear of an error
}

// Close lets all go.
func (c *Crowd) Close() {
	c.Leave(len(c.viewers))
	_ = syscall.Close(c.epfd) // as above
}
