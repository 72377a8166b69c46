package hub

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// hijack takes the connection out of net/http and gives it to a loop. It
// reports false, with nothing done, when the connection cannot be taken.
func (h *Hub) hijack(w http.ResponseWriter, ip netip.Addr, enc int, p position) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close() // ours is a duplicate
	fd, err := duplicate(conn, h.opt.SendBuffer)
	if err != nil {
		h.opt.Logger.Warn("viewer refused", "err", err)
		h.leave(ip)
		return true
	}
	v := &viewer{fd: fd, pos: p, ip: ip, enc: uint8(enc), retry: uint8(rand.IntN(retries))} //nolint:gosec // jitter, no secret; both fit
	v.tail, v.since = h.static.hello[enc][v.retry], time.Now()
	l := h.loops[fd%len(h.loops)]
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.joining = append(l.joining, v)
	}
	l.mu.Unlock()
	if closed {
		_ = syscall.Close(fd) // stopping: the client comes back by itself
		h.leave(ip)
		return true
	}
	l.wake()
	return true
}

// duplicate returns a descriptor of our own for the connection, so that none of
// net's and net/http's memory for it need stay.
func duplicate(conn net.Conn, sendBuffer int) (int, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("take connection: %T has no descriptor", conn)
	}
	if err := tcp.SetDeadline(time.Time{}); err != nil {
		return 0, fmt.Errorf("take connection: %w", err)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("take connection: %w", err)
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(old uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		if fd, dupErr = syscall.Dup(int(old)); dupErr == nil {
			syscall.CloseOnExec(fd)
		}
	}); err != nil {
		return 0, fmt.Errorf("take connection: %w", err)
	}
	if dupErr != nil {
		return 0, fmt.Errorf("duplicate connection: %w", dupErr)
	}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer); err != nil {
		_ = syscall.Close(fd)
		return 0, fmt.Errorf("set send buffer: %w", err)
	}
	return fd, nil
}
