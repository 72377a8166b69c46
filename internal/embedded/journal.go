package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// pendingEnd is the end of a transaction that the broker was carrying out.
type pendingEnd struct {
	Producer int64        `json:"producer"`
	Epoch    int16        `json:"epoch"`
	Commit   bool         `json:"commit"`
	Bumps    bool         `json:"bumps"` // the epoch rises with every transaction (KIP-890)
	Offsets  []groupEntry `json:"offsets,omitempty"`
}

// endJournal remembers the one end of a transaction that is under way.
//
// The broker library carries an EndTxn out as many separate writes: a marker
// in each partition, then each offset, then its own state. A kill in between
// would leave a transaction committed here and aborted there. So the decision
// is written down first, and crossed out when the next request arrives: the
// library handles requests one at a time, so by then it is done. Recovery
// completes a commit that is not crossed out.
//
// Like the log it belongs to, it is in the system's hands on return, not on
// the disk: it survives the process, not the machine.
type endJournal struct {
	mu   sync.Mutex
	f    *os.File
	open bool
	buf  []byte
}

// The file: a state byte, length and checksum of the entry, the entry.
const (
	journalHead = 9
	journalDone = 0
	journalOpen = 1
	// journalMost bounds an entry read back: a few thousand offsets.
	journalMost = 16 << 20
)

func openJournal(path string) (*endJournal, *pendingEnd, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open transaction journal: %w", err)
	}
	pending, err := readJournal(f)
	if err != nil {
		return nil, nil, errors.Join(&DamageError{Path: path, Offset: -1, Reason: err.Error()}, f.Close())
	}
	return &endJournal{f: f}, pending, nil
}

func readJournal(f *os.File) (*pendingEnd, error) {
	raw, err := io.ReadAll(io.LimitReader(f, journalMost))
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 || raw[0] == journalDone {
		return nil, nil
	}
	if len(raw) < journalHead {
		return nil, errors.New("shorter than its head")
	}
	n := binary.LittleEndian.Uint32(raw[1:])
	if int64(n) > int64(len(raw)-journalHead) {
		return nil, errors.New("shorter than it says")
	}
	entry := raw[journalHead : journalHead+n]
	if crc32.Checksum(entry, castagnoli) != binary.LittleEndian.Uint32(raw[5:]) {
		return nil, errors.New("wrong checksum")
	}
	var p pendingEnd
	if err := json.Unmarshal(entry, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// begin writes p down. The state byte goes last, so that a cut before it
// leaves the journal as if begin had not been called.
func (j *endJournal) begin(p pendingEnd) error {
	entry, err := json.Marshal(p)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf = binary.LittleEndian.AppendUint32(j.buf[:0], uint32(len(entry)))
	j.buf = binary.LittleEndian.AppendUint32(j.buf, crc32.Checksum(entry, castagnoli))
	j.buf = append(j.buf, entry...)
	if _, err := j.f.WriteAt(j.buf, 1); err != nil {
		return fmt.Errorf("write transaction journal: %w", err)
	}
	if _, err := j.f.WriteAt([]byte{journalOpen}, 0); err != nil {
		return fmt.Errorf("write transaction journal: %w", err)
	}
	j.open = true
	return nil
}

// done crosses out what begin wrote; without one it does nothing.
func (j *endJournal) done() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open {
		return nil
	}
	if _, err := j.f.WriteAt([]byte{journalDone}, 0); err != nil {
		return fmt.Errorf("write transaction journal: %w", err)
	}
	j.open = false
	return nil
}

func (j *endJournal) close() error { return j.f.Close() }
