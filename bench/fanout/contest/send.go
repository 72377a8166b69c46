//go:build linux

package contest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"unsafe"

	"ell/bench/fanout/payload"
)

// startSend is the limit: no HTTP server, no bookkeeping, one send(2) a viewer
// and frame, over a list of descriptors. It serves nobody who is slow: it cuts
// them off.
func startSend(ctx context.Context, st *state) (server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return server{}, fmt.Errorf("listen: %w", err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return server{}, fmt.Errorf("listen: got a %T", l)
	}
	f, err := tcp.File()
	if err != nil {
		return server{}, fmt.Errorf("take listener: %w", err)
	}
	lfd := int(f.Fd()) //nolint:gosec // a descriptor; now blocking
	s := &sender{state: st}
	go func() {
		defer f.Close()
		if err := s.accept(lfd); err != nil {
			panic(err) // this process is there to be measured, and has nobody to tell
		}
	}()
	return server{l.Addr(), s.publish}, nil
}

type sender struct {
	*state
	mu  sync.Mutex
	fds []int
}

// accept takes viewers in, one after the other.
func (s *sender) accept(lfd int) error {
	request := make([]byte, 4096)
	for {
		fd, _, err := syscall.Accept4(lfd, syscall.SOCK_CLOEXEC)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		for n := 0; !bytes.Contains(request[:n], []byte("\r\n\r\n")); {
			got, err := syscall.Read(fd, request[n:])
			if err != nil || got == 0 {
				return fmt.Errorf("read request: %w", errors.Join(err, syscall.EPIPE))
			}
			n += got
		}
		if err := errors.Join(
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			syscall.SetNonblock(fd, true),
		); err != nil {
			return fmt.Errorf("set up viewer: %w", err)
		}
		s.mu.Lock()
		hello := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"), message(s.snapshot())...)
		if rawSend(fd, hello) {
			s.fds = append(s.fds, fd)
		}
		s.mu.Unlock()
	}
}

func (s *sender) publish(h payload.Header) error {
	b := message(h.Seq, s.Append(nil, h))
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.fds[:0]
	for _, fd := range s.fds {
		if rawSend(fd, b) {
			kept = append(kept, fd)
		}
	}
	s.fds = kept
	return nil
}

// rawSend sends all of b or closes the connection.
func rawSend(fd int, b []byte) bool {
	n, _, _ := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT, 0, 0)
	if int(n) == len(b) { //nolint:gosec // at most len(b)
		return true
	}
	_ = syscall.Close(fd) // cut off
	return false
}
