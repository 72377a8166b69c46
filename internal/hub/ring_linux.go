package hub

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// job is one piece for one socket.
type job struct {
	slot  int
	fd    int
	b     []byte
	fresh bool          // the whole of a piece
	n     int           // bytes that the socket took
	err   syscall.Errno // if it took none; EAGAIN: not now
}

// batch is the number of jobs done at a time: enough that the system call's own
// cost is spread thin, few enough that the scheduler gets its turn every half a
// millisecond.
const batch = 128

// sendFlags: never wait, and no signal when the other end is gone.
const sendFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// sendEach does the jobs by a system call each. Since none waits, the scheduler
// is not told of them.
func sendEach(jobs []job) {
	for i := range jobs {
		j := &jobs[i]
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(j.fd), uintptr(unsafe.Pointer(unsafe.SliceData(j.b))), uintptr(len(j.b)), sendFlags, 0, 0)
		if j.n, j.err = int(n), errno; errno != 0 { //nolint:gosec // at most len(b)
			j.n = 0
		}
	}
}

// ring does jobs by io_uring: a batch is one system call. Besides the calls'
// own cost that saves what the kernel's guards against speculation cost at each
// entry, which on some processors is as much as the sending. It is used from one
// goroutine. Sends never wait, so they are done when the call returns, nothing of
// the caller's memory is kept, and the scheduler, who would start another thread
// meanwhile, is not told of the call.
//
// The layouts are those of linux/io_uring.h, as of Linux 5.6; what they have no
// name for here is not used.
type ring struct {
	fd         int
	maps       [2][]byte
	sqes       []submission
	cqes       []completion
	sqTail     *uint32
	cqHead     *uint32
	cqTail     *uint32
	sqSize     uint32 // powers of two
	cqSize     uint32
	sqPosition uint32
	cqPosition uint32
}

type submission struct {
	opcode, flags uint8
	priority      uint16
	fd            int32
	offset        uint64
	addr          uint64
	size          uint32
	message       uint32 // flags of send(2)
	user          uint64 // comes back in the completion
	_             [3]uint64
}

type completion struct {
	user   uint64
	result int32
	flags  uint32
}

type ringSetup struct {
	sqEntries, cqEntries, flags, _, _, features, _ uint32
	_                                              [3]uint32
	sq                                             struct{ head, tail, mask, entries, flags, dropped, array, _, _, _ uint32 }
	cq                                             struct{ head, tail, mask, entries, overflow, cqes, flags, _, _, _ uint32 }
}

const (
	opSend        = 26
	enterGet      = 1          // IORING_ENTER_GETEVENTS
	featureOneMap = 1          // IORING_FEAT_SINGLE_MMAP
	offsetRings   = 0          // IORING_OFF_SQ_RING
	offsetSqes    = 0x10000000 // IORING_OFF_SQES
)

// newRing fails where the kernel has no io_uring, or keeps it from this process.
func newRing() (*ring, error) {
	var p ringSetup
	fd, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, batch, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("set up io_uring: %w", errno)
	}
	r := &ring{fd: int(fd), sqSize: p.sqEntries, cqSize: p.cqEntries}
	if p.features&featureOneMap == 0 {
		r.close()
		return nil, fmt.Errorf("set up io_uring: this kernel's is older than Linux 5.4")
	}
	for i, m := range []struct{ offset, size uint32 }{
		{offsetRings, max(p.sq.array+4*p.sqEntries, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(completion{})))},
		{offsetSqes, p.sqEntries * uint32(unsafe.Sizeof(submission{}))},
	} {
		var err error
		if r.maps[i], err = syscall.Mmap(r.fd, int64(m.offset), int(m.size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_POPULATE); err != nil {
			r.close()
			return nil, fmt.Errorf("map io_uring: %w", err)
		}
	}
	at := func(offset uint32) unsafe.Pointer { return unsafe.Pointer(&r.maps[0][offset]) }
	r.sqTail, r.cqHead, r.cqTail = (*uint32)(at(p.sq.tail)), (*uint32)(at(p.cq.head)), (*uint32)(at(p.cq.tail))
	r.cqes = unsafe.Slice((*completion)(at(p.cq.cqes)), p.cqEntries)
	r.sqes = unsafe.Slice((*submission)(unsafe.Pointer(&r.maps[1][0])), p.sqEntries)
	for i, order := 0, unsafe.Slice((*uint32)(at(p.sq.array)), p.sqEntries); i < len(order); i++ {
		order[i] = uint32(i) //nolint:gosec // an index of the ring
	}
	return r, nil
}

func (r *ring) close() {
	for _, m := range r.maps {
		if m != nil {
			_ = syscall.Munmap(m) // ours, and not used again
		}
	}
	_ = syscall.Close(r.fd) // nothing is under way
}

// send does at most batch jobs. After an error the ring must not be used again,
// and jobs that are not done have err EIO.
func (r *ring) send(jobs []job) error {
	for i := range jobs {
		j := &jobs[i]
		j.n, j.err = 0, syscall.EIO
		r.sqes[r.sqPosition%r.sqSize] = submission{
			opcode: opSend, fd: int32(j.fd), addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(j.b)))), //nolint:gosec // a descriptor
			size: uint32(len(j.b)), message: sendFlags, user: uint64(i), //nolint:gosec // pieces are short
		}
		r.sqPosition++
	}
	atomic.StoreUint32(r.sqTail, r.sqPosition)
	defer runtime.KeepAlive(jobs)
	for submit, done := len(jobs), 0; done < len(jobs); {
		n, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(submit), uintptr(len(jobs)-done), enterGet, 0, 0)
		switch errno {
		case 0:
			submit -= int(n)
		case syscall.EINTR, syscall.EAGAIN, syscall.EBUSY:
		default:
			return fmt.Errorf("send by io_uring: %w", errno)
		}
		for end := atomic.LoadUint32(r.cqTail); r.cqPosition != end; r.cqPosition++ {
			c := &r.cqes[r.cqPosition%r.cqSize]
			j := &jobs[c.user]
			if j.n, j.err = int(c.result), 0; c.result < 0 {
				j.n, j.err = 0, syscall.Errno(-c.result) //nolint:gosec // an errno
			}
			done++
		}
		atomic.StoreUint32(r.cqHead, r.cqPosition)
	}
	return nil
}
