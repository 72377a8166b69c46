package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// settle turns the committed transactional batches of a partition into plain
// ones, in place, so that their commit markers have nothing left to say.
//
// The broker library's compaction keeps every marker of a producer id as long
// as one record of that id is left. A worker that commits ten times a second
// under one id would so fill every partition of its state with markers, for
// ever. What is committed and closed is plain data; settled, the next
// compaction drops its markers.
//
// It must be called while no transaction is open on the partition and the
// library handles nothing. Each batch keeps its size and is changed by one
// write, so that a kill leaves it old or new, both of them right.
func settle(dir string) error {
	bases, err := segments(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	open := make(map[int64][]located)
	for _, base := range bases {
		path := segmentPath(dir, base)
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for pos := int64(0); pos < int64(len(raw)); {
			b, whole, err := parseBatch(raw[pos:])
			if err != nil || !whole {
				return fmt.Errorf("settle %s at byte %d: unreadable batch (%w)", path, pos, err)
			}
			switch {
			case b.control():
				if b.commit {
					if err := makePlain(open[b.producer]); err != nil {
						return err
					}
				}
				delete(open, b.producer)
			case b.transactional():
				head := raw[pos : pos+b.size]
				open[b.producer] = append(open[b.producer], located{path: path, pos: pos, raw: head})
			}
			pos += b.size
		}
	}
	return nil
}

// located is a batch and where it is.
type located struct {
	path string
	pos  int64
	raw  []byte
}

// makePlain rewrites the heads of batches: no producer, no transaction.
func makePlain(batches []located) (err error) {
	var f *os.File
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, b := range batches {
		if f == nil || f.Name() != b.path {
			if f != nil {
				if err := f.Close(); err != nil {
					return err
				}
			}
			if f, err = os.OpenFile(filepath.Clean(b.path), os.O_WRONLY, 0); err != nil {
				return err
			}
		}
		attrs := binary.BigEndian.Uint16(b.raw[21:]) &^ attrTransaction
		binary.BigEndian.PutUint16(b.raw[21:], attrs)
		const none = ^uint64(0) // -1
		binary.BigEndian.PutUint64(b.raw[43:], none)
		binary.BigEndian.PutUint16(b.raw[51:], 0xffff)
		binary.BigEndian.PutUint32(b.raw[53:], 0xffffffff)
		binary.BigEndian.PutUint32(b.raw[17:], crc32.Checksum(b.raw[21:], castagnoli))
		if _, err := f.WriteAt(b.raw[17:batchHeader], b.pos+17); err != nil {
			return fmt.Errorf("settle %s: %w", b.path, err)
		}
	}
	return nil
}
