// Package payload makes the frames that every contestant of the fan-out benchmark
// hands out, and reads them back on the viewers' side.
//
// A frame is one line of JSON of an exact size: its number, the wall time at which
// it was due, and rows of trains out of a real snapshot of the city, so that it
// compresses as real frames do. The package knows nothing of how a contestant
// wraps or sends it.
package payload

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
)

//go:embed testdata/snapshot.json
var snapshot []byte // a real one: 8 lines on a weekday at 9:30, 144 trains

// variants is the number of different frames before their rows repeat.
const variants = 64

// Kind tells frames from snapshots.
type Kind byte

// The kinds of payload.
const (
	Frame Kind = 'f'
	State Kind = 's'
)

// Header is what the viewers' side reads from a payload.
type Header struct {
	Kind Kind
	Seq  uint64
	Sent int64 // wall time in µs at which the frame was due
}

// Maker makes payloads of one size. Its methods are safe for concurrent use.
type Maker struct {
	size   int
	bodies [variants][]byte
	state  []byte
}

// headerSize is the length of what begins every payload; numbers are padded.
const headerSize = len(`{"f":` + `          ` + `,"sent":` + `                ` + `,`)

// New makes a maker of frames of size bytes. The least size is 128.
func New(size int) (*Maker, error) {
	if size < 128 {
		return nil, fmt.Errorf("make payloads: frames of %d bytes are too small, 128 is the least", size)
	}
	var s struct{ Trains []json.RawMessage }
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return nil, fmt.Errorf("read the snapshot that payloads are made of: %w", err)
	}
	m := &Maker{size: size, state: bytes.TrimSpace(snapshot)[1:]}
	at := 0
	for i := range m.bodies {
		b := []byte(`"trains":[`)
		for first := true; ; first = false {
			row := s.Trains[at%len(s.Trains)]
			if headerSize+len(b)+len(row)+len(",]}") > size {
				break
			}
			if !first {
				b = append(b, ',')
			}
			b = append(b, row...)
			at++
		}
		b = append(b, ']')
		for headerSize+len(b)+1 < size {
			b = append(b, ' ')
		}
		m.bodies[i] = append(b, '}')
	}
	return m, nil
}

// Append appends a payload; sent is wall time in µs.
func (m *Maker) Append(dst []byte, h Header) []byte {
	dst = fmt.Appendf(dst, `{"%c":%10d,"sent":%16d,`, h.Kind, h.Seq, h.Sent)
	if h.Kind == State {
		return append(dst, m.state...)
	}
	return append(dst, m.bodies[h.Seq%variants]...)
}

// Size is the size of a payload of a kind in bytes.
func (m *Maker) Size(k Kind) int {
	if k == State {
		return headerSize + len(m.state)
	}
	return m.size
}

// Find looks for a payload in a piece of a stream and holds every byte of it against what
// it has to be. It reports false if there is none, and an error if it is damaged.
func (m *Maker) Find(piece []byte) (h Header, ok bool, err error) {
	for _, k := range []Kind{Frame, State} {
		at := bytes.Index(piece, []byte(`{"`+string(k)+`":`))
		if at < 0 {
			continue
		}
		b := piece[at:]
		if len(b) < headerSize {
			return h, false, fmt.Errorf("payload cut off: %q", b)
		}
		h.Kind = k
		numbers := b[len(`{"f":`):]
		if h.Seq, err = strconv.ParseUint(string(bytes.TrimSpace(numbers[:10])), 10, 64); err != nil {
			return h, false, fmt.Errorf("payload's number: %w", err)
		}
		if h.Sent, err = strconv.ParseInt(string(bytes.TrimSpace(numbers[10+len(`,"sent":`):][:16])), 10, 64); err != nil {
			return h, false, fmt.Errorf("payload's time: %w", err)
		}
		if !bytes.HasPrefix(b, m.Append(nil, h)) {
			return h, false, fmt.Errorf("payload %d is not what was published", h.Seq)
		}
		return h, true, nil
	}
	return h, false, nil
}
