package hub

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pair returns two connected sockets that do not block.
func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fds[1]) })
	return fds[0], fds[1]
}

func needRing(t *testing.T) *ring {
	t.Helper()
	r, err := newRing()
	if errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EPERM) {
		t.Skipf("no io_uring for this process: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func TestJobsEndTheSameWhicheverWayTheyAreDone(t *testing.T) {
	type end struct {
		N   int
		Err string
	}
	// ends does jobs for sockets in every condition, more than the ring has room for.
	ends := func(t *testing.T, do func([]job) error) []end {
		t.Helper()
		var got []end
		for range 3 {
			var jobs []job
			for len(jobs)+4 <= batch {
				ready, _ := pair(t)
				full, _ := pair(t)
				for {
					if _, err := syscall.Write(full, make([]byte, 4096)); err != nil {
						break
					}
				}
				part, _ := pair(t)
				if err := syscall.SetsockoptInt(part, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 32<<10); err != nil {
					t.Fatal(err)
				}
				left, gone := pair(t)
				_ = syscall.Shutdown(gone, syscall.SHUT_RDWR)
				for _, j := range []job{{fd: ready, b: []byte("frame")}, {fd: full, b: []byte("frame")}, {fd: part, b: make([]byte, 1<<20)}, {fd: left, b: []byte("frame")}} {
					t.Cleanup(func() { _ = syscall.Close(j.fd) })
					jobs = append(jobs, j)
				}
			}
			if err := do(jobs); err != nil {
				t.Fatal(err)
			}
			for _, j := range jobs {
				e := end{N: j.n}
				if j.n == 0 {
					e.Err = j.err.Error()
				}
				got = append(got, e)
			}
		}
		return got
	}
	one := ends(t, func(jobs []job) error { sendEach(jobs); return nil })
	if want := []end{{5, ""}, {0, syscall.EAGAIN.Error()}, {one[2].N, ""}, {0, syscall.EPIPE.Error()}}; !cmp.Equal(one[:4], want) || one[2].N >= 1<<20 {
		t.Fatalf("one a call: %v, want %v with part of the third", one[:4], want)
	}
	r := needRing(t)
	if diff := cmp.Diff(one, ends(t, r.send)); diff != "" {
		t.Errorf("one a call and many a call differ (-one +many):\n%s", diff)
	}
}

// stillLoop is a loop that the test itself turns.
func stillLoop(t *testing.T) *loop {
	t.Helper()
	h, err := New(Options{Epoch: "e1", Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	h.running = true
	if err := h.Publish(1, []byte(`{}`), state{1, 10}); err != nil {
		t.Fatal(err)
	}
	loops, err := newLoops(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loops[0].sayBye(); closeLoops(loops) })
	return loops[0]
}

// seat lets a viewer join and returns its end of the connection.
func seat(t *testing.T, l *loop) (theirs int) {
	t.Helper()
	ours, theirs := pair(t)
	if err := l.h.admit(netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	l.joining = append(l.joining, &viewer{fd: ours, tail: l.h.static.hello[identity][0], since: time.Now()})
	l.join()
	return theirs
}

func received(fd int) []byte {
	b := make([]byte, 64<<10)
	n, _ := syscall.Read(fd, b)
	return b[:max(n, 0)]
}

func TestEventOfAViewerWhoLeftDoesNotTouchTheOneWhoTookItsSlot(t *testing.T) {
	l := stillLoop(t)
	seat(t, l)
	old := l.slots[0].turn
	l.drop(0)
	theirs := seat(t, l)
	l.events[0] = syscall.EpollEvent{Events: syscall.EPOLLHUP, Fd: 0, Pad: old}
	l.handle(1)
	if l.slots[0] == nil {
		t.Fatal("the viewer was dropped for the end of another one's connection")
	}
	if !bytes.Contains(received(theirs), []byte("event: snapshot")) {
		t.Error("the viewer has no snapshot")
	}
	l.events[0].Pad = l.slots[0].turn
	l.handle(1)
	if l.slots[0] != nil {
		t.Error("the viewer stayed after the end of its connection")
	}
}

func TestRingThatFailsCostsItsViewersAndNoOthers(t *testing.T) {
	needRing(t)
	l := stillLoop(t)
	seat(t, l)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	broken, err := syscall.Dup(int(null.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(l.ring.fd)
	l.ring.fd = broken
	seat(t, l)
	if l.ring != nil || l.slots[1] != nil || l.slots[0] == nil {
		t.Fatalf("ring %v, slots %v: want no ring, and the second viewer dropped", l.ring, l.slots)
	}
	theirs := seat(t, l)
	if !bytes.Contains(received(theirs), []byte("event: snapshot")) {
		t.Error("who comes after that is not served")
	}
}
