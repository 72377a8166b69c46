package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// partitions verifies and mends every partition, a few at a time.
func (r *recovery) partitions() error {
	root := filepath.Join(r.kafka, "partitions")
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const workers = 4 // enough to keep two cores and a disk busy
	names := make(chan string)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for name := range names {
				if errs[i] == nil {
					errs[i] = r.partition(filepath.Join(root, name), name)
				}
			}
		})
	}
	for _, e := range entries {
		if e.IsDir() {
			names <- e.Name()
		}
	}
	close(names)
	wg.Wait()
	return errors.Join(errs...)
}

// partition mends one partition's folder.
func (r *recovery) partition(dir, name string) error {
	cut := strings.LastIndexByte(name, '-')
	topic, err := url.PathUnescape(name[:max(cut, 0)])
	number, err2 := strconv.ParseInt(name[cut+1:], 10, 32)
	if err != nil || err2 != nil || cut < 0 {
		return nil // not a partition
	}
	bases, err := segments(dir)
	if err != nil {
		return err
	}
	if len(bases) == 0 {
		return nil
	}
	s := partitionScan{gaps: r.compact[topic], open: make(map[int64]batch), windows: make(map[int64]*seqWindow)}
	for i, base := range bases {
		if err := r.segment(dir, base, i == len(bases)-1, &s); err != nil {
			return err
		}
	}
	return r.finish(dir, bases[len(bases)-1], topic, int32(number), &s)
}

// partitionScan is what one pass over a partition's batches gathers.
type partitionScan struct {
	any     bool            // a batch was seen
	gaps    bool            // compaction may have left gaps between offsets
	next    int64           // offset after the last batch
	leader  int32           // leader epoch of the last batch
	bytes   int64           // verified
	open    map[int64]batch // producer id -> newest batch of its open transaction
	windows map[int64]*seqWindow
	torn    int
	indexes int
}

// segment verifies one segment, cuts a torn tail off and mends its index.
func (r *recovery) segment(dir string, base int64, last bool, s *partitionScan) error {
	path := segmentPath(dir, base)
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var index bytes.Buffer
	for pos := int64(0); pos < int64(len(raw)); {
		b, whole, err := parseBatch(raw[pos:])
		if !whole || err != nil {
			if r.clean || !last || batchFollows(raw[pos:]) {
				if err == nil {
					err = errors.New("half a batch")
				}
				return &DamageError{Path: path, Offset: pos, Reason: err.Error()}
			}
			if err := os.Truncate(path, pos); err != nil {
				return err
			}
			s.torn++
			break
		}
		// The offset is outside the checksum. Only compaction leaves gaps.
		if s.any && (b.first < s.next || b.first > s.next && !s.gaps) {
			return &DamageError{Path: path, Offset: pos, Reason: fmt.Sprintf("offset %d follows %d", b.first, s.next-1)}
		}
		s.note(&b)
		index.Write(indexEntry(&b))
		pos += b.size
		s.bytes += b.size
	}
	old, err := os.ReadFile(indexPath(dir, base))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !sameIndex(old, index.Bytes()) {
		s.indexes++
		return writeFileAtomic(indexPath(dir, base), index.Bytes())
	}
	return nil
}

// batchFollows reports whether a whole batch follows somewhere behind the bad
// one that raw begins with: then that one is no torn tail but damage.
func batchFollows(raw []byte) bool {
	for i := 1; i+batchHeader <= len(raw); i++ {
		if raw[i+16] != 2 {
			continue
		}
		if b, whole, err := parseBatch(raw[i:]); whole && err == nil && b.records > 0 {
			return true
		}
	}
	return false
}

func (s *partitionScan) note(b *batch) {
	s.any, s.next, s.leader = true, b.last+1, b.leader
	switch {
	case b.control():
		delete(s.open, b.producer)
	case b.producer < 0:
	default:
		if b.transactional() {
			s.open[b.producer] = *b
		}
		w := s.windows[b.producer]
		if w == nil {
			w = &seqWindow{PID: b.producer}
			s.windows[b.producer] = w
		}
		w.note(b)
	}
}

// finish ends what is open in a partition and adds to the report.
func (r *recovery) finish(dir string, active int64, topic string, number int32, s *partitionScan) error {
	committed := 0
	for _, pid := range slices.Sorted(maps.Keys(s.open)) {
		b := s.open[pid]
		commit := r.pending != nil && r.pending.Commit && r.pending.Producer == pid && r.pending.Epoch == b.epoch
		if commit {
			committed++
		}
		if err := r.append(dir, active, markerBatch(s.next, pid, b.epoch, s.leader, commit, r.now.UnixMilli())); err != nil {
			return err
		}
		s.next++
		if !commit {
			r.mu.Lock()
			r.aborted[pid] = b.epoch
			r.mu.Unlock()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Partitions++
	r.report.Bytes += s.bytes
	r.report.Torn += s.torn
	r.report.Indexes += s.indexes
	r.report.Committed += committed
	// Compaction changes the counts that windows are made of; and without a
	// window the broker takes whatever sequence comes, as after long idleness.
	if !r.compact[topic] {
		for _, w := range s.windows {
			w.Topic, w.Part = topic, number
			r.windows = append(r.windows, *w)
		}
	}
	return nil
}
