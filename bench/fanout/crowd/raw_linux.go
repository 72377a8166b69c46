package crowd

import (
	"syscall"
	"unsafe"
)

// rawRead is read(2) on a socket that does not block, without telling the
// scheduler of a call that takes a microsecond.
func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil //nolint:gosec // at most len(b)
}
