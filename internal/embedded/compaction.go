package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The broker library compacts a partition by deleting its files and writing
// new ones: a kill in between loses all of it. So before each compaction every
// file it may delete gets a second name (a hard link; where the file system
// has none, a copy) in a folder beside the partitions. The file READY, made
// last and removed first, says that the second names are complete and count.

func spareDir(kafka string) string { return filepath.Join(kafka, "ell-compaction") }

func readyPath(kafka string) string { return filepath.Join(spareDir(kafka), "READY") }

// sparePartitions gives the files of the named partition folders second names.
func sparePartitions(kafka string, names []string) error {
	spare := spareDir(kafka)
	if err := os.RemoveAll(spare); err != nil {
		return fmt.Errorf("prepare compaction: %w", err)
	}
	for _, name := range names {
		from, to := filepath.Join(kafka, "partitions", name), filepath.Join(spare, name)
		if err := linkLog(from, to); err != nil {
			return fmt.Errorf("prepare compaction of %s: %w", name, err)
		}
	}
	return writeMarker(readyPath(kafka))
}

func writeMarker(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o600)
}

// dropSpare forgets the second names: the compaction is done.
func dropSpare(kafka string) error {
	if err := os.Remove(readyPath(kafka)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(spareDir(kafka))
}

// undoCompaction brings the log back to what it was before a compaction that
// a kill cut off. Nothing was written meanwhile: the broker does nothing else
// during a compaction.
func (r *recovery) undoCompaction() error {
	if _, err := os.Stat(readyPath(r.kafka)); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(spareDir(r.kafka))
	} else if err != nil {
		return err
	}
	entries, err := os.ReadDir(spareDir(r.kafka))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(r.kafka, "partitions", e.Name())
		if err := removeLog(dir); err != nil {
			return err
		}
		if err := linkLog(filepath.Join(spareDir(r.kafka), e.Name()), dir); err != nil {
			return err
		}
	}
	r.report.Compaction = true
	return dropSpare(r.kafka)
}

func isLogFile(name string) bool {
	return strings.HasSuffix(name, ".dat") || strings.HasSuffix(name, ".idx")
}

// linkLog gives every segment and index of from a second name in to.
func linkLog(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if !isLogFile(e.Name()) {
			continue
		}
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if os.Link(src, dst) == nil {
			continue
		}
		if err := copyFile(src, dst); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(src, dst string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func removeLog(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isLogFile(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
