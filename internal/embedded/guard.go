package embedded

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// guardedListener keeps from the broker library what it would not survive. It
// accepts nobody before ready is closed (the gate is put in place only after
// the library has begun to listen), and it looks at the head of each request:
// the library would allocate whatever size a client claims (a browser's
// "GET " is 1.2 GB) and would crash on a request kind it does not know.
type guardedListener struct {
	net.Listener
	ready chan struct{}
	slots chan struct{} // one for each connection
}

const (
	// requestMost bounds a request: many partitions' batches of 1 MiB.
	requestMost = 64 << 20
	// connectionsMost bounds clients; one uses about five connections.
	connectionsMost = 1000
)

func newGuardedListener(ln net.Listener) *guardedListener {
	return &guardedListener{Listener: ln, ready: make(chan struct{}), slots: make(chan struct{}, connectionsMost)}
}

// Accept returns the next connection, guarded. Beyond connectionsMost new ones
// are closed at once.
func (l *guardedListener) Accept() (net.Conn, error) {
	<-l.ready
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &guardedConn{Conn: c, slots: l.slots}, nil
		default:
			_ = c.Close() // too many
		}
	}
}

// guardedConn hands the client's bytes on, request by request. Only one
// goroutine reads from it.
type guardedConn struct {
	net.Conn
	slots chan struct{}

	head  [8]byte // size, kind and version of the request
	given int     // bytes of head handed on
	have  bool    // head is filled
	left  int     // bytes of the request after head
	once  sync.Once
}

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	if !c.have {
		if err := c.readHead(); err != nil {
			return 0, err
		}
	}
	if c.given < len(c.head) {
		n := copy(p, c.head[c.given:])
		c.given += n
		c.ended()
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.ended()
	return n, err
}

// ended makes ready for the next request when this one is all handed on.
func (c *guardedConn) ended() {
	if c.given == len(c.head) && c.left == 0 {
		c.have, c.given = false, 0
	}
}

func (c *guardedConn) readHead() error {
	for n := 0; n < len(c.head); {
		m, err := c.Conn.Read(c.head[n:])
		n += m
		if err != nil {
			return err
		}
	}
	size := binary.BigEndian.Uint32(c.head[:])
	kind := int16(binary.BigEndian.Uint16(c.head[4:]))
	version := int16(binary.BigEndian.Uint16(c.head[6:]))
	if size < 8 || size > requestMost {
		return fmt.Errorf("request of %d bytes", size)
	}
	req := kmsg.RequestForKey(kind)
	if req == nil || version < 0 || version > req.MaxVersion()+10 {
		// A little above what is known is let through: a client learns from
		// the answer which versions there are.
		return fmt.Errorf("request of unknown kind %d, version %d", kind, version)
	}
	c.have, c.left = true, int(size)-4
	return nil
}

// Close implements net.Conn.
func (c *guardedConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}
