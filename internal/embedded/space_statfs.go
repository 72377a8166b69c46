//go:build linux || darwin

package embedded

import "syscall"

// freeBytes returns the space that an unprivileged process may still use on
// dir's file system; ok is false where the system does not say.
func freeBytes(dir string) (n uint64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
