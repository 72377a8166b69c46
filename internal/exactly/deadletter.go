package exactly

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"ell/internal/event"
)

const (
	maxErrorText   = 1024 // bytes of an error in a dead letter's header
	maxUnknownKept = 1024 // schema ids remembered as unknown
	letterPause    = time.Second
	keepUnknown    = 10             // times SchemaWait that an id is remembered once others want its place
	manyUnknown    = math.MaxUint64 // stands for all schema ids beyond maxUnknownKept
)

// deadLetter emits the record as it came, with where it came from and why.
func (s *session) deadLetter(r *Record, class string, cause error) {
	text := cause.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText]
	}
	add := func(key, value string) {
		s.headers = append(s.headers, event.Header{Key: key, Value: []byte(value)})
	}
	s.headers = append(s.headers[:0], r.Headers...)
	add(HeaderTopic, r.Topic)
	add(HeaderPartition, strconv.Itoa(int(r.Partition)))
	add(HeaderOffset, strconv.FormatInt(r.Offset, 10))
	add(HeaderClass, class)
	add(HeaderError, text)
	add(HeaderStage, s.cfg.Stage.Name)
	s.out.Emit(s.cfg.DeadLetter, -1, r.Key, r.Value, s.headers...)
	s.letters++
	if s.letters == 1 {
		s.letter = fmt.Sprintf("%s-%d@%d: %s: %.200s", r.Topic, r.Partition, r.Offset, class, text)
	}
}

// logLetters says now and then that records went to the dead letter topic: a
// flood of them must not become a flood of lines.
func (r *Runner) logLetters(n int, first string, now time.Time) {
	r.unsaid += n
	if r.unsaid == 0 || now.Sub(r.saidAt) < letterPause {
		return
	}
	r.log.Warn("records sent to the dead letter topic", "records", r.unsaid, "last", first)
	r.unsaid, r.saidAt = 0, now
}

// unknownSchemas remembers since when schema ids have been unknown, across
// sessions. An id stays remembered after its time is up, so that a flood of
// records with it waits once, not once a record.
type unknownSchemas struct{ since map[uint64]time.Time }

// expired says whether the schema ids of r have been unknown for so long that
// the record counts as poison.
func (u *unknownSchemas) expired(r *Record, now time.Time, wait time.Duration) bool {
	id := schemaID(r.Key)<<32 | schemaID(r.Value)
	first, ok := u.since[id]
	if !ok && len(u.since) >= maxUnknownKept {
		maps.DeleteFunc(u.since, func(_ uint64, first time.Time) bool { return now.Sub(first) >= keepUnknown*wait })
		if len(u.since) >= maxUnknownKept {
			id = manyUnknown // all that are too many to tell apart wait together
			first, ok = u.since[id]
		}
	}
	if !ok {
		if u.since == nil {
			u.since = map[uint64]time.Time{}
		}
		u.since[id] = now
		return false
	}
	return now.Sub(first) >= wait
}

// schemaID reads the id of Confluent framing, 0 without it.
func schemaID(b []byte) uint64 {
	if len(b) < 5 || b[0] != 0 {
		return 0
	}
	return uint64(binary.BigEndian.Uint32(b[1:]))
}
