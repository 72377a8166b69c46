package hub

import (
	"context"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rawViewers opens n streams by system calls, so that the clients use none of
// the Go memory that is measured.
func rawViewers(t testing.TB, addr net.Addr, n int) []int {
	t.Helper()
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		t.Fatalf("address is a %T", addr)
	}
	to := &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	request := []byte("GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
	var fds []int
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	})
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		if err := syscall.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd, request); err != nil {
			t.Fatal(err)
		}
	}
	return fds
}

// held is what the process holds: goroutines, bytes of live heap, bytes resident.
// Stacks are not among them: the runtime keeps those of goroutines that ended for
// the next ones, so who holds them is told by the number of goroutines.
func held() (goroutines int, heap, resident int64) {
	runtime.GC()
	runtime.GC() // the second empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			resident = pages * int64(os.Getpagesize())
		}
	}
	return runtime.NumGoroutine(), int64(m.HeapAlloc), resident
}

func TestViewerCostsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of sockets")
	}
	const n = 2000
	h, err := New(Options{MaxPerIP: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		cancel()
		_ = srv.Close()
		<-served
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	if err := h.Publish(1, []byte(`{}`), state{1, 4000}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the hub", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.running })
	rawViewers(t, l.Addr(), 50) // what is needed once
	waitFor(t, "viewers", func() bool { return h.Stats().Viewers == 50 })
	goroutines, heap, resident := held()
	// They come by fifties: what net/http needs at once for a crowd at the door
	// is not what a viewer costs.
	for came := 50; came < n+50; came += 50 {
		rawViewers(t, l.Addr(), 50)
		waitFor(t, "viewers", func() bool { return h.Stats().Viewers == came+50 })
	}
	for seq := uint64(2); seq < 10; seq++ {
		if err := h.Publish(seq, []byte(noise(seq, 300)), state{seq, 4000}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "deliveries", func() bool { return h.Stats().Deliveries > 8*n })
	// On a busy machine net/http's goroutines take a while to end: what stays is what a viewer holds.
	waitFor(t, "net/http to let go of the viewers", func() bool { return runtime.NumGoroutine() <= goroutines })
	_, heapAfter, residentAfter := held()
	per := (heapAfter - heap) / n
	t.Logf("%d viewers: %d bytes of heap each, %d bytes resident each", n, per, (residentAfter-resident)/n)
	if per > 800 {
		t.Errorf("a viewer holds %d bytes of heap, want at most 800", per)
	}
}
