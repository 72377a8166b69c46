package embedded

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// groups verifies groups.log, completes a commit's offsets and writes the log
// anew without what it no longer needs: superseded entries, and static members
// (whoever they were is gone).
func (r *recovery) groups() error {
	path := filepath.Join(r.kafka, "groups.log")
	entries, err := r.readFrames(path)
	if err != nil {
		return err
	}
	type key struct {
		typ, group, topic string
		part              int32
	}
	kept := make(map[key][]byte)
	var order []key
	add := func(raw []byte) {
		var e groupEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			return
		}
		k := key{"meta", e.Group, "", 0}
		switch e.Type {
		case "commit", "delete":
			k = key{"commit", e.Group, e.Topic, e.Part}
		case "meta", "meta848":
		default: // static members
			return
		}
		if e.Type == "delete" {
			delete(kept, k)
			return
		}
		if _, ok := kept[k]; !ok {
			order = append(order, k)
		}
		kept[k] = raw
	}
	for _, raw := range entries {
		add(raw)
	}
	if r.pending != nil && r.pending.Commit {
		for _, o := range r.pending.Offsets {
			o.Type = "commit"
			now := r.now.UnixMilli()
			o.LastCommit = &now
			raw, err := json.Marshal(o)
			if err != nil {
				return err
			}
			add(raw)
		}
	}
	var out []byte
	for _, k := range order {
		if raw, ok := kept[k]; ok {
			out = appendFrame(out, raw)
			delete(kept, k) // deleted and set again: only once
		}
	}
	return writeFileAtomic(path, out)
}

// producers verifies pids.log and records how the transactions ended that
// were open: an aborted one's epoch rises, so that a producer in another
// process that outlived the broker cannot commit the rest of it.
func (r *recovery) producers() error {
	path := filepath.Join(r.kafka, "pids.log")
	entries, err := r.readFrames(path)
	if err != nil {
		return err
	}
	latest := make(map[int64]pidEntry)
	for _, raw := range entries {
		var e pidEntry
		if err := json.Unmarshal(raw, &e); err != nil {
			return &DamageError{Path: path, Offset: -1, Reason: err.Error()}
		}
		if old, ok := latest[e.PID]; ok && e.Type != "init" {
			old.Epoch = e.Epoch
			if e.Commit != nil {
				old.Commit = e.Commit
			}
			e = old
		} else if e.Type != "init" {
			continue
		}
		e.Type = "init"
		latest[e.PID] = e
	}
	if p := r.pending; p != nil && p.Commit {
		if e, ok := latest[p.Producer]; ok && e.Epoch == p.Epoch {
			if p.Bumps && e.Epoch < math.MaxInt16-1 {
				e.Epoch++
			}
			commit := true
			e.Commit = &commit
			latest[p.Producer] = e
		}
	}
	for pid, epoch := range r.aborted {
		r.report.Aborted++
		if e, ok := latest[pid]; ok && e.Epoch <= epoch && e.Epoch < math.MaxInt16-1 {
			e.Epoch = epoch + 1
			commit := false
			e.Commit = &commit
			latest[pid] = e
		}
	}
	// Written anew, it is also as short as it can be.
	var out []byte
	for _, pid := range slices.Sorted(maps.Keys(latest)) {
		raw, err := json.Marshal(latest[pid])
		if err != nil {
			return err
		}
		out = appendFrame(out, raw)
	}
	if err := writeFileAtomic(path, out); err != nil {
		return err
	}
	r.windows = slices.DeleteFunc(r.windows, func(w seqWindow) bool {
		_, known := latest[w.PID]
		return !known
	})
	return nil
}

// readFrames reads an append log whose torn tail is forgiven after a kill only.
func (r *recovery) readFrames(path string) ([][]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, valid := frames(raw)
	if valid < len(raw) {
		if r.clean || frameFollows(raw[valid:]) {
			return nil, &DamageError{Path: path, Offset: int64(valid), Reason: "entry with a wrong checksum"}
		}
	}
	return entries, nil
}

// seqWindow is what the broker remembers of a producer in a partition to know
// repeated batches: an entry of seq_windows.json.
type seqWindow struct {
	PID     int64       `json:"pid"`
	Topic   string      `json:"topic"`
	Part    int32       `json:"partition"`
	Entries [5]seqEntry `json:"entries"`
	Count   uint8       `json:"count"`
	At      uint8       `json:"at"`
	Epoch   int16       `json:"epoch"`
	Seen    bool        `json:"seen"`
	NextSeq int32       `json:"next_seq"`
}

type seqEntry struct {
	FirstSeq int32 `json:"first_seq"`
	NextSeq  int32 `json:"next_seq"`
	Offset   int64 `json:"offset"`
}

func (w *seqWindow) note(b *batch) {
	if b.sequence < 0 {
		return
	}
	next := int32((int64(b.sequence) + int64(b.records)) % math.MaxInt32)
	if !w.Seen || w.Epoch != b.epoch {
		*w = seqWindow{PID: w.PID, Seen: true, Epoch: b.epoch}
	}
	w.NextSeq = next
	w.Entries[w.At] = seqEntry{FirstSeq: b.sequence, NextSeq: next, Offset: b.first}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
}

// sequences writes what the log says of used sequence numbers; after a clean
// end the broker's own file is better, since it outlives retention.
func (r *recovery) sequences() error {
	if r.clean {
		return nil
	}
	b, err := json.Marshal(struct {
		Version int         `json:"version"`
		Windows []seqWindow `json:"windows"`
	}{logFormatVersion, r.windows})
	if err != nil {
		return err
	}
	return writeFileAtomic(filepath.Join(r.kafka, "seq_windows.json"), b)
}
