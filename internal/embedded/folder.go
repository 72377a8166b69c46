package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folderVersion is the format of the data folder as a whole.
const folderVersion = 1

// folderState is the file ell.json: what the folder is and how it was left.
type folderState struct {
	Version int `json:"version"`
	// Boot counts the starts on this folder. It goes into transactional ids,
	// so that no producer id is used by two boots.
	Boot uint64 `json:"boot"`
	// Clean says that the last boot ended by Close; it is false while running.
	Clean bool `json:"clean"`
	// Machine identifies the boot of the machine the last start was under, ""
	// where the system does not say. If it changed and Clean is false, the
	// machine itself went down and what was not yet on the disk is lost.
	Machine string `json:"machine,omitempty"`
}

// folder is a data folder that this process holds the lock of.
type folder struct {
	dir   string
	lock  *os.File
	state folderState // as it stands now
	last  folderState // as it was found; the zero value in a new folder
}

// openFolder creates dir if needed (mode 0700), makes sure of being able to
// write there, locks it and counts the boot. The caller closes it.
func openFolder(dir string) (_ *folder, err error) {
	if dir == "" {
		return nil, errors.New("no data folder: name one with --data")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w: choose another one with --data", err)
	}
	if err := checkWritable(dir); err != nil {
		return nil, err
	}
	f := &folder{dir: dir}
	if f.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.lock.Close()
		}
	}()
	if err := f.readState(); err != nil {
		return nil, err
	}
	f.state = folderState{Version: folderVersion, Boot: f.last.Boot + 1, Machine: machineBoot()}
	if err := f.writeState(); err != nil {
		return nil, err
	}
	return f, nil
}

func checkWritable(dir string) error {
	t, err := os.CreateTemp(dir, ".write-*")
	if err != nil {
		return fmt.Errorf("data folder %s cannot be written to: %w: change its permissions or choose another one with --data", dir, err)
	}
	_, err = t.WriteString("x")
	err = errors.Join(err, t.Close(), os.Remove(t.Name()))
	if err != nil {
		return fmt.Errorf("data folder %s cannot be written to: %w: free space or choose another one with --data", dir, err)
	}
	return nil
}

// lockFolder takes the lock that makes this process the only one on dir. The
// system drops it when the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
		}
		who := "another process"
		if pid, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(pid)) != "" {
			who = "process " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("data folder %s is in use by %s: stop it, or choose another folder with --data", dir, who)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	return f, nil
}

func (f *folder) readState() error {
	path := filepath.Join(f.dir, "ell.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.refuseForeign()
	}
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	if err := json.Unmarshal(b, &f.last); err != nil || f.last.Version < 1 {
		return fmt.Errorf("data folder %s: ell.json is damaged: restore a copy of the folder, or choose a new one with --data", f.dir)
	}
	if f.last.Version > folderVersion {
		return fmt.Errorf("data folder %s was written by a newer ell (format %d, this one knows %d): use that version, or choose a new folder with --data",
			f.dir, f.last.Version, folderVersion)
	}
	return nil
}

// refuseForeign keeps a mistyped --data from filling someone's folder, and a
// folder that lost its ell.json from being taken for a new one.
func (f *folder) refuseForeign() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("read data folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() != "lock" && !strings.HasPrefix(e.Name(), ".") {
			return fmt.Errorf("data folder %s is not empty and not one of ell's (no ell.json beside %s): choose another one with --data", f.dir, e.Name())
		}
	}
	return nil
}

func (f *folder) writeState() error {
	b, err := json.Marshal(f.state)
	if err == nil {
		err = writeFileAtomic(filepath.Join(f.dir, "ell.json"), b)
	}
	if err != nil {
		return fmt.Errorf("write data folder state: %w", err)
	}
	return nil
}

// close gives the folder up; clean says that everything in it was closed well.
func (f *folder) close(clean bool) error {
	var err error
	if clean {
		f.state.Clean = true
		err = f.writeState()
	}
	return errors.Join(err, f.lock.Close())
}

// machineWentDown reports whether the last boot was cut off by the whole
// machine stopping, after which even what was written may be gone.
func (f *folder) machineWentDown() bool {
	return !f.last.Clean && f.last.Boot > 0 && f.last.Machine != "" && f.last.Machine != f.state.Machine
}

// writeFileAtomic replaces path by b so that a reader, or the next start after
// a cut, finds either the old or the new content; it is on the disk on return.
func writeFileAtomic(path string, b []byte) (err error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
