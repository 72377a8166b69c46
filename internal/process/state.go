package process

import (
	"encoding/binary"
	"math"
)

// stateVersion is the first byte of every changelog value. A reader refuses
// what it does not know.
const stateVersion = 1

// stateReader reads a changelog value: varints, floats and bounded text, after
// a version byte. The first fault sticks and everything after reads as zero.
type stateReader struct {
	b   []byte
	bad string
}

func readState(value []byte) stateReader {
	if len(value) == 0 {
		return stateReader{bad: "empty value"}
	}
	if value[0] != stateVersion {
		return stateReader{bad: "unknown version"}
	}
	return stateReader{b: value[1:]}
}

func (r *stateReader) fail(why string) {
	if r.bad == "" {
		r.bad = why
	}
	r.b = nil
}

func (r *stateReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("short or overlong number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// within reads a number that must lie in [lo, hi].
func (r *stateReader) within(lo, hi int64) int64 {
	v := r.int()
	if v < lo || v > hi {
		r.fail("number out of bounds")
		return lo
	}
	return v
}

// moment reads an event time in ms or 0.
func (r *stateReader) moment() int64 { return r.within(0, maxTime) }

func (r *stateReader) bool() bool { return r.within(0, 1) == 1 }

// float reads a finite number.
func (r *stateReader) float() float64 {
	if len(r.b) < 8 {
		r.fail("short float")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail("float is not finite")
		return 0
	}
	r.b = r.b[8:]
	return v
}

func (r *stateReader) text(most int) string {
	n := r.within(0, int64(most))
	if int64(len(r.b)) < n {
		r.fail("short text")
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// end returns what was wrong, "" if the value was read whole.
func (r *stateReader) end() string {
	if r.bad == "" && len(r.b) > 0 {
		r.bad = "bytes left over"
	}
	return r.bad
}

func appendInt(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return binary.AppendVarint(b, 1)
	}
	return binary.AppendVarint(b, 0)
}

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}
