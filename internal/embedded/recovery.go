package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Recovered is what recovery found and mended in the broker's files.
type Recovered struct {
	Partitions int   // looked through
	Bytes      int64 // of segments, all checksums verified
	Torn       int   // segments whose last, half-written batch was cut off
	Aborted    int   // open transactions ended by an abort marker
	Committed  int   // partitions in which a commit cut off half-way was completed
	Indexes    int   // rewritten
	Compaction bool  // a compaction cut off half-way was undone
}

// DamageError says that the data folder holds something no crash of ell
// leaves behind, so that going on would lose data silently.
type DamageError struct {
	Path   string
	Offset int64 // in the file; -1: the whole
	Reason string
}

func (e *DamageError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("data folder is damaged: %s%s: %s: restore a copy of the folder, or choose a new one with --data", e.Path, at, e.Reason)
}

// recovery makes the broker's files whole before the broker reads them. It
// exists because the broker library, left alone after a kill, would
//
//   - treat an open transaction as aborted without a marker in the log, which
//     hides all that its producer id commits later;
//   - keep a commit in those partitions that got their marker before the kill
//     and drop it in the others (pending says which commit that was);
//   - take a batch whose index entry is missing for a plain, committed one;
//   - lose a partition whose compaction was interrupted between deleting the
//     old files and writing the new;
//   - restart at offset 0 a partition that retention had emptied;
//   - forget which sequence numbers idempotent producers have used;
//   - cut a segment at a damaged batch and go on without the rest.
//
// Every step can be cut off and run again.
type recovery struct {
	kafka   string // the broker's folder
	clean   bool   // the last boot closed well
	pending *pendingEnd
	now     time.Time

	mu      sync.Mutex
	report  Recovered
	aborted map[int64]int16 // producer id -> epoch of its aborted transaction
	windows []seqWindow
	compact map[string]bool   // topics with a compact policy
	ids     map[string]string // topic -> id
}

func recoverLog(kafka string, clean bool, pending *pendingEnd) (Recovered, error) {
	r := &recovery{
		kafka: kafka, clean: clean, pending: pending, now: time.Now(), aborted: make(map[int64]int16),
		compact: make(map[string]bool), ids: make(map[string]string),
	}
	if fresh, err := r.checkMeta(); fresh || err != nil {
		return r.report, err
	}
	for _, step := range []func() error{
		r.undoCompaction, r.readTopics, r.restoreEmptied, r.partitions, r.groups, r.producers, r.sequences,
	} {
		if err := step(); err != nil {
			return r.report, fmt.Errorf("recover the broker's log: %w", err)
		}
	}
	// Nobody who was a member of a group is still alive: without this file the
	// groups start empty and the first to join need not wait for the dead.
	if err := os.Remove(filepath.Join(kafka, "session_state.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.report, err
	}
	return r.report, nil
}

// checkMeta reports whether there is nothing to recover.
func (r *recovery) checkMeta() (fresh bool, err error) {
	path := filepath.Join(r.kafka, "meta.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if parts, err := os.ReadDir(filepath.Join(r.kafka, "partitions")); err == nil && len(parts) > 0 {
			return false, &DamageError{Path: path, Offset: -1, Reason: "missing, while there are partitions"}
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var meta struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &meta); err != nil || meta.Version != logFormatVersion {
		return false, &DamageError{Path: path, Offset: -1, Reason: "not a description of a log this version reads"}
	}
	return false, nil
}

func (r *recovery) readTopics() error {
	path := filepath.Join(r.kafka, "topics.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return &DamageError{Path: path, Offset: -1, Reason: "cannot be read: " + err.Error()}
	}
	topics, err := parseTopics(b)
	if err != nil {
		return &DamageError{Path: path, Offset: -1, Reason: err.Error()}
	}
	for _, t := range topics {
		r.ids[t.Name] = t.ID
		r.compact[t.Name] = strings.Contains(t.Configs["cleanup.policy"], "compact")
	}
	return nil
}

// storedTopic is a topic in topics.json.
type storedTopic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"` // base64
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

// number is a setting of the topic's own.
func (t storedTopic) number(setting string) (n int64, ok bool) {
	n, err := strconv.ParseInt(t.Configs[setting], 10, 64)
	return n, err == nil
}

func parseTopics(b []byte) ([]storedTopic, error) {
	var f struct {
		Topics []storedTopic `json:"topics"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	return f.Topics, nil
}

// highwater is the end of a partition's log, for partitions that retention may
// empty: with no file left the broker would not know where it was.
type highwater struct {
	TopicID string `json:"id"` // a topic made anew under an old name starts at 0
	Offset  int64  `json:"end"`

	bytes int64 // of the log; not kept
}

func highwaterPath(kafka string) string { return filepath.Join(kafka, "ell-highwater.json") }

// restoreEmptied gives emptied partitions one control batch just before their
// end, which no consumer sees and the broker counts on from.
func (r *recovery) restoreEmptied() error {
	noted := make(ends)
	b, err := os.ReadFile(highwaterPath(r.kafka))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, &noted)
	}
	if err != nil {
		return &DamageError{Path: highwaterPath(r.kafka), Offset: -1, Reason: err.Error()}
	}
	for topic, parts := range noted {
		for partition, end := range parts {
			dir := partitionDir(r.kafka, topic, partition)
			bases, err := segments(dir)
			if errors.Is(err, fs.ErrNotExist) && r.ids[topic] == end.TopicID {
				err = os.MkdirAll(dir, 0o755)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if len(bases) > 0 || end.Offset == 0 || r.ids[topic] != end.TopicID {
				continue
			}
			raw := markerBatch(end.Offset-1, math.MaxInt64, 0, 0, false, r.now.UnixMilli())
			if err := r.append(dir, end.Offset-1, raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// append adds a batch of ours to segment base of dir.
func (r *recovery) append(dir string, base int64, raw []byte) error {
	b, _, err := parseBatch(raw)
	if err != nil {
		return err
	}
	if err := appendFile(segmentPath(dir, base), raw); err != nil {
		return err
	}
	return appendFile(indexPath(dir, base), indexEntry(&b))
}

func appendFile(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}
