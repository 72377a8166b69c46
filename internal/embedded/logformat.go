package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// This file knows the broker library's files, which recovery reads and mends
// before the library opens them (see recovery.go). The library is pinned, and
// the tests write with it and read with this; meta.json's version is checked.
//
//	<kafka>/meta.json, topics.json, ...      whole JSON files, replaced atomically
//	<kafka>/groups.log, pids.log             framed JSON entries, appended
//	<kafka>/partitions/<topic>-<n>/<base>.dat  record batches as on the wire
//	<kafka>/partitions/<topic>-<n>/<base>.idx  15 bytes a batch, see indexEntry
const (
	logFormatVersion = 1
	batchHeader      = 61 // bytes of a record batch before its records
	indexEntrySize   = 15
	attrTransaction  = 0x10
	attrControl      = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the head of a record batch in a segment.
type batch struct {
	size     int64 // in the segment file
	first    int64
	last     int64
	attrs    int16
	maxTime  int64
	producer int64
	epoch    int16
	sequence int32
	records  int32
	leader   int32
	commit   bool // of a control batch: a commit marker
}

func (b *batch) control() bool       { return b.attrs&attrControl != 0 }
func (b *batch) transactional() bool { return b.attrs&attrTransaction != 0 && !b.control() }

// parseBatch reads the batch at the start of raw. whole is false if raw ends
// before the batch does; err says what is wrong with a batch that is all there.
func parseBatch(raw []byte) (b batch, whole bool, err error) {
	if len(raw) < 12 {
		return b, false, nil
	}
	length := int64(int32(binary.BigEndian.Uint32(raw[8:])))
	if length < batchHeader-12 || length > 1<<30 {
		return b, true, fmt.Errorf("batch length %d", length)
	}
	b.size = 12 + length
	if b.size > int64(len(raw)) {
		return b, false, nil
	}
	raw = raw[:b.size]
	if raw[16] != 2 {
		return b, true, fmt.Errorf("batch format %d", raw[16])
	}
	if got, want := crc32.Checksum(raw[21:], castagnoli), binary.BigEndian.Uint32(raw[17:]); got != want {
		return b, true, fmt.Errorf("checksum %08x, want %08x", got, want)
	}
	b.first = int64(binary.BigEndian.Uint64(raw))
	b.leader = int32(binary.BigEndian.Uint32(raw[12:]))
	b.attrs = int16(binary.BigEndian.Uint16(raw[21:]))
	b.last = b.first + int64(int32(binary.BigEndian.Uint32(raw[23:])))
	b.maxTime = int64(binary.BigEndian.Uint64(raw[35:]))
	b.producer = int64(binary.BigEndian.Uint64(raw[43:]))
	b.epoch = int16(binary.BigEndian.Uint16(raw[51:]))
	b.sequence = int32(binary.BigEndian.Uint32(raw[53:]))
	b.records = int32(binary.BigEndian.Uint32(raw[57:]))
	if b.control() {
		b.commit = isCommit(raw[batchHeader:])
	}
	return b, true, nil
}

// isCommit reads the marker type of a control batch's only record.
func isCommit(records []byte) bool {
	var r kmsg.Record
	if err := r.ReadFrom(records); err != nil {
		return false
	}
	var key kmsg.ControlRecordKey
	if err := key.ReadFrom(r.Key); err != nil {
		return false
	}
	return key.Type == kmsg.ControlRecordKeyTypeCommit
}

// markerBatch is a control batch at offset that ends producer's transaction.
func markerBatch(offset, producer int64, epoch int16, leader int32, commit bool, nowMS int64) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: (&kmsg.EndTxnMarker{}).AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // the length itself takes one byte
	b := kmsg.RecordBatch{
		FirstOffset:          offset,
		PartitionLeaderEpoch: leader,
		Magic:                2,
		Attributes:           attrControl | attrTransaction,
		FirstTimestamp:       nowMS,
		MaxTimestamp:         nowMS,
		ProducerID:           producer,
		ProducerEpoch:        epoch,
		FirstSequence:        -1,
		NumRecords:           1,
		Records:              rec.AppendTo(nil),
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

// indexEntry is what the library keeps beside each batch: version, checksum,
// leader epoch, a timestamp it recomputes at every start (0 here), and whether
// the batch belongs to a transaction.
func indexEntry(b *batch) []byte {
	e := make([]byte, indexEntrySize)
	e[0] = logFormatVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(b.leader))
	if b.transactional() && !b.control() {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return e
}

// sameIndex reports whether raw is an index of the batches that want is one
// of, and says the same of which are part of a transaction. The broker library
// believes the index, not the batch: after compaction it still says so of
// settled batches, whose markers are gone, and the library, finding no end of
// their transaction, would take them for aborted and compact them away.
func sameIndex(raw, want []byte) bool {
	if len(raw) != len(want) {
		return false
	}
	for i := 0; i < len(raw); i += indexEntrySize {
		e := raw[i : i+indexEntrySize]
		if e[0] != logFormatVersion || e[1] != byte(crc32.Checksum(e[2:], castagnoli)) || e[14] != want[i+14] {
			return false
		}
	}
	return true
}

// frames splits an append log into its entries and returns how many bytes of
// it are whole. What follows may be a torn tail.
func frames(raw []byte) (entries [][]byte, valid int) {
	for {
		rest := raw[valid:]
		if len(rest) < 10 {
			return entries, valid
		}
		length := binary.LittleEndian.Uint32(rest)
		if length < 2 || int64(length) > int64(len(rest)-8) {
			return entries, valid
		}
		body := rest[8 : 8+length]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			return entries, valid
		}
		entries = append(entries, body[2:])
		valid += 8 + int(length)
	}
}

// frameFollows reports whether a whole entry follows somewhere behind the bad
// one that raw begins with: then that one is no torn tail but damage.
func frameFollows(raw []byte) bool {
	for i := 1; i+10 <= len(raw); i++ {
		if raw[i+8] != logFormatVersion || raw[i+9] != 0 {
			continue
		}
		length := binary.LittleEndian.Uint32(raw[i:])
		if length < 2 || int64(length) > int64(len(raw)-i-8) {
			continue
		}
		if crc32.Checksum(raw[i+8:i+8+int(length)], castagnoli) == binary.LittleEndian.Uint32(raw[i+4:]) {
			return true
		}
	}
	return false
}

// appendFrame appends one entry of an append log to dst.
func appendFrame(dst, entry []byte) []byte {
	body := append([]byte{logFormatVersion, 0}, entry...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
	return append(dst, body...)
}

// groupEntry is an entry of groups.log, as far as recovery needs it.
type groupEntry struct {
	Type       string  `json:"type"`
	Group      string  `json:"g"`
	Topic      string  `json:"t,omitempty"`
	Part       int32   `json:"p,omitempty"`
	Offset     int64   `json:"o,omitempty"`
	Epoch      int32   `json:"e,omitempty"`
	Metadata   *string `json:"m,omitempty"`
	LastCommit *int64  `json:"lc,omitempty"`
}

// pidEntry is an entry of pids.log.
type pidEntry struct {
	Type    string `json:"type"` // init, endtx, timeout
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

// partitionDir is where the library keeps a partition.
func partitionDir(kafka, topic string, partition int32) string {
	return filepath.Join(kafka, "partitions", url.PathEscape(topic)+"-"+strconv.Itoa(int(partition)))
}

// segments returns the base offsets of the segment files in dir, ascending.
func segments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(name, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+".dat")
}

func indexPath(dir string, base int64) string {
	return filepath.Join(dir, strconv.FormatInt(base, 10)+".idx")
}
