//go:build linux || darwin

package embedded

import "syscall"

// space returns what an unprivileged process may still use on dir's file
// system and how large that is, in bytes; ok is false where the system does not say.
func space(dir string) (free, size uint64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	return s.Bavail * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), true
}
