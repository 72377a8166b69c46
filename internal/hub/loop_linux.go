package hub

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// viewer is one hijacked connection. Its loop alone touches it.
type viewer struct {
	fd    int
	pos   position
	tail  []byte    // rest of a piece that the socket did not take yet
	since time.Time // when the tail last moved
	ip    netip.Addr
	turn  int32 // tells it from others who had its slot
	enc   uint8
	retry uint8
}

// loop writes to its share of the viewers. One goroutine runs it; a second
// one waits in the runtime's poller for the loop's own epoll set, so that no
// thread is held while nothing happens.
type loop struct {
	h     *Hub
	epoll *os.File
	epfd  int
	awake chan struct{} // capacity 1: a wake-up is pending
	ready chan int      // events found by the poller; unbuffered, it waits for taken
	taken chan struct{}

	events   []syscall.EpollEvent
	slots    []*viewer // nil: free
	free     []int
	turn     int32    // of the newest viewer
	recent   []*frame // newest frames, contiguous
	lastSend time.Time
	told     uint64 // newest frame that all were brought to
	scratch  []byte
	ring     *ring // nil: a system call a piece
	jobs     []job // pieces to send, at most one a viewer; empty between the loop's turns
	stopped  atomic.Bool

	delivered, sent uint64 // pieces and bytes not yet among the hub's counters

	mu      sync.Mutex
	joining []*viewer
	closed  bool
}

// keepRecent is the number of frames a loop finds without the hub's lock.
const keepRecent = 16

// edge is every event a viewer is watched for, reported once per change.
const edge = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which syscall has as a negative number

func newLoops(h *Hub) ([]*loop, error) {
	var loops []*loop
	for range h.opt.Loops {
		epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			closeLoops(loops)
			return nil, fmt.Errorf("make epoll set: %w", err)
		}
		if err := syscall.SetNonblock(epfd, true); err != nil {
			_ = syscall.Close(epfd)
			closeLoops(loops)
			return nil, fmt.Errorf("make epoll set non-blocking: %w", err)
		}
		l := &loop{
			h: h, epoll: os.NewFile(uintptr(epfd), "epoll"), epfd: epfd,
			awake: make(chan struct{}, 1), ready: make(chan int), taken: make(chan struct{}),
			events: make([]syscall.EpollEvent, 256), scratch: make([]byte, 4096), lastSend: time.Now(),
			jobs: make([]job, 0, batch),
		}
		if !h.opt.NoRing {
			var err error
			if l.ring, err = newRing(); err != nil {
				h.opt.Logger.Info("viewers are sent to one by one", "err", err)
			}
		}
		loops = append(loops, l)
	}
	return loops, nil
}

// closeLoops closes loops that never ran.
func closeLoops(loops []*loop) {
	for _, l := range loops {
		_ = l.epoll.Close() // nobody has used it
		if l.ring != nil {
			l.ring.close()
		}
	}
}

func (l *loop) wake() {
	select {
	case l.awake <- struct{}{}:
	default:
	}
}

// run serves the loop's viewers until ctx ends.
func (l *loop) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(l.poll)
	tick := time.NewTicker(l.tick())
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.awake:
			l.join()
			l.broadcast()
		case n := <-l.ready:
			l.handle(n)
			l.taken <- struct{}{}
		case now := <-tick.C:
			l.sweep(now)
		}
	}
	l.stopped.Store(true)
	_ = l.epoll.Close() // ends the poller; nothing is lost
	for {
		// The poller may be about to hand over events; it ends when the set is closed.
		n, ok := <-l.ready
		if !ok {
			break
		}
		_ = n
		l.taken <- struct{}{}
	}
	wg.Wait()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.join()
	l.sayBye()
	if l.ring != nil {
		l.ring.close()
	}
}

// poll waits for the epoll set and hands its events to the loop.
func (l *loop) poll() {
	defer close(l.ready)
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		l.h.opt.Logger.Error("viewers cannot be watched", "err", err)
		return
	}
	for !l.stopped.Load() {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var werr error
			n, werr = syscall.EpollWait(int(fd), l.events, 0)
			return n > 0 || werr != nil && !errors.Is(werr, syscall.EINTR)
		})
		if err != nil {
			return // closed
		}
		if n <= 0 {
			continue
		}
		l.ready <- n
		<-l.taken
	}
}

// join takes in the viewers that came since the last time.
func (l *loop) join() {
	l.mu.Lock()
	list := l.joining
	l.joining = nil
	l.mu.Unlock()
	l.refresh()
	for _, v := range list {
		slot := len(l.slots)
		if n := len(l.free); n > 0 {
			slot, l.free = l.free[n-1], l.free[:n-1]
			l.slots[slot] = v
		} else {
			l.slots = append(l.slots, v)
		}
		if !l.stopped.Load() {
			l.turn++
			v.turn = l.turn
			ev := syscall.EpollEvent{Events: edge, Fd: int32(slot), Pad: v.turn} //nolint:gosec // slots are bounded by MaxViewers
			if err := syscall.EpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, v.fd, &ev); err != nil {
				l.h.opt.Logger.Warn("viewer dropped", "err", err)
				l.drop(slot)
				continue
			}
		}
		l.flush(slot)
	}
	l.send()
}

// refresh notes the newest frames.
func (l *loop) refresh() {
	h := l.h
	h.mu.Lock()
	defer h.mu.Unlock()
	ring := h.ring
	if len(ring) > keepRecent {
		ring = ring[len(ring)-keepRecent:]
	}
	l.recent = append(l.recent[:0], ring...)
}

// broadcast brings every viewer that can take it to the newest frame.
func (l *loop) broadcast() {
	l.refresh()
	for slot, v := range l.slots {
		if v != nil && len(v.tail) == 0 {
			l.flush(slot)
		}
	}
	l.send()
	// A viewer who comes wakes the loop too, which is no news to the others.
	if n := len(l.recent); n > 0 && l.recent[n-1].seq != l.told {
		l.told, l.lastSend = l.recent[n-1].seq, time.Now()
	}
}

// next returns the viewer's next piece, without the hub's lock for those who keep up.
func (l *loop) next(v *viewer) []byte {
	if n := len(l.recent); n > 0 && v.pos.synced {
		first, last := l.recent[0].seq, l.recent[n-1].seq
		if v.pos.seq == last {
			return nil
		}
		if v.pos.seq+1 >= first && v.pos.seq < last {
			v.pos.seq++
			return l.recent[v.pos.seq-first].body[v.enc]
		}
	}
	return l.h.next(&v.pos, int(v.enc))
}

// flush puts a viewer's next piece, or the rest of one, among the jobs, unless it
// is up to date. Who calls it calls send when all are put.
func (l *loop) flush(slot int) {
	v := l.slots[slot]
	fresh := len(v.tail) == 0
	if fresh && !l.take(v) {
		return
	}
	if l.jobs = append(l.jobs, job{slot: slot, fd: v.fd, b: v.tail, fresh: fresh}); len(l.jobs) == batch {
		l.send()
	}
}

// take gives a viewer its next piece, and reports false if it is up to date.
func (l *loop) take(v *viewer) bool {
	v.tail = l.next(v)
	if v.tail == nil {
		return false
	}
	l.delivered++
	return true
}

// send does the jobs, and those that follow from them, until every viewer among
// them is up to date or its socket is full.
func (l *loop) send() {
	for len(l.jobs) > 0 {
		if l.ring == nil {
			sendEach(l.jobs)
		} else if err := l.ring.send(l.jobs); err != nil {
			l.h.opt.Logger.Error("viewers dropped; from here on they are sent to one by one", "err", err)
			l.ring.close()
			l.ring = nil
		}
		again := l.jobs[:0]
		for _, j := range l.jobs {
			if l.settle(&j) {
				again = append(again, j)
			}
		}
		l.jobs = again
	}
	l.h.count.deliveries.Add(l.delivered)
	l.h.count.bytes.Add(l.sent)
	l.delivered, l.sent = 0, 0
}

// settle notes what became of a job. It makes the viewer's next job of it and
// reports true, unless there is none now.
func (l *loop) settle(j *job) bool {
	v := l.slots[j.slot]
	switch {
	case j.n > 0:
		l.sent += uint64(j.n) //nolint:gosec // positive
		v.tail = v.tail[j.n:]
		if j.fresh = len(v.tail) == 0; !j.fresh {
			v.since = time.Now()
		} else if !l.take(v) {
			return false
		}
		j.b = v.tail
		return true
	case j.err == syscall.EINTR:
		return true
	case j.err == syscall.EAGAIN:
		if j.fresh {
			v.since = time.Now()
		}
		return false // the socket's next change to writable is reported
	default:
		l.drop(j.slot)
		return false
	}
}

// handle looks at n events of the epoll set.
func (l *loop) handle(n int) {
	l.refresh()
	for _, ev := range l.events[:n] {
		slot := int(ev.Fd)
		if v := l.slots[slot]; v == nil || v.turn != ev.Pad {
			continue // of one who left meanwhile
		}
		if ev.Events&(syscall.EPOLLHUP|syscall.EPOLLERR|syscall.EPOLLRDHUP) != 0 {
			l.drop(slot)
			continue
		}
		if ev.Events&syscall.EPOLLIN != 0 && !l.drain(slot) {
			continue
		}
		if ev.Events&syscall.EPOLLOUT != 0 {
			l.flush(slot)
		}
	}
	l.send()
}

// maxInput is how much a viewer may send after its request at one time: nothing is
// expected, and one that talks on is not a viewer.
const maxInput = 16 << 10

// drain reads and forgets what a viewer sent. It reports false if the viewer is gone.
func (l *loop) drain(slot int) bool {
	for got := 0; got <= maxInput; {
		n, err := syscall.Read(l.slots[slot].fd, l.scratch)
		switch {
		case n > 0:
			got += n
		case errors.Is(err, syscall.EAGAIN):
			return true
		case errors.Is(err, syscall.EINTR):
		default:
			l.drop(slot)
			return false
		}
	}
	l.drop(slot)
	return false
}

// tick is how often the loop sweeps.
func (l *loop) tick() time.Duration {
	return min(time.Second, max(min(l.h.opt.Heartbeat, l.h.opt.Stall)/4, time.Millisecond))
}

// sweep drops viewers that take nothing and breaks long silences.
func (l *loop) sweep(now time.Time) {
	beat := now.Sub(l.lastSend) >= l.h.opt.Heartbeat-l.tick()
	if beat {
		l.refresh()
		l.lastSend = now
	}
	for slot, v := range l.slots {
		switch {
		case v == nil:
		case len(v.tail) > 0:
			if now.Sub(v.since) >= l.h.opt.Stall {
				l.h.count.stalled.Add(1)
				l.drop(slot)
			}
		case beat:
			v.tail, v.since = l.h.static.beat[v.enc], now
			l.flush(slot)
		}
	}
	l.send()
}

// drop closes a viewer's connection and frees its slot.
func (l *loop) drop(slot int) {
	v := l.slots[slot]
	l.slots[slot] = nil
	l.free = append(l.free, slot)
	_ = syscall.Close(v.fd) // also leaves the epoll set; nobody is there to hear of an error
	l.h.leave(v.ip)
}

// sayBye tells every viewer that can still take it to come back later, and
// closes all.
func (l *loop) sayBye() {
	var byes [retries][encodings][]byte
	for i := range byes {
		byes[i] = l.h.bye(i)
	}
	for slot, v := range l.slots {
		if v == nil {
			continue
		}
		if len(v.tail) > 0 {
			if n, err := syscall.Write(v.fd, v.tail); err == nil {
				v.tail = v.tail[n:]
			}
		}
		if len(v.tail) == 0 {
			// Best effort: a viewer who misses it sees the end of the stream.
			_, _ = syscall.Write(v.fd, byes[v.retry][v.enc])
		}
		l.drop(slot)
	}
}
