//go:build !unix

package embedded

import (
	"errors"
	"os"
)

var errLocked = errors.New("locked by another process")

// lockFile does nothing where the system has no advisory locks; there the
// broker's port, which two processes cannot both have, is the only lock.
func lockFile(*os.File) error { return nil }

func syncDir(string) error { return nil }

func machineBoot() string { return "" }
