package event

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// cursor reads Avro's binary form. The first fault sticks; what is read
// afterwards is zero and means nothing.
type cursor struct {
	b     []byte
	fault fault
	// amount is what the fault is about, where it is about a number.
	amount int64
}

// fault is a kind of damage, small so that a cursor stays on the stack.
type fault uint8

const (
	sound fault = iota
	faultShort
	faultLong
	faultInt
	faultLength
	faultText
	faultTooLong
	faultBranch
	faultBool
	faultCount
	faultNumber
	faultTrailing
)

func (c *cursor) fail(f fault, amount int64) {
	if c.fault == sound {
		c.fault, c.amount = f, amount
	}
	c.b = nil
}

// err says what is wrong, as ErrPoison; trailing bytes are wrong too.
func (c *cursor) err() error {
	if c.fault == sound && len(c.b) == 0 {
		return nil
	}
	return c.explain()
}

func (c *cursor) explain() error {
	n := c.amount
	switch c.fault {
	case sound:
		return poisonf("%d bytes too many", len(c.b))
	case faultShort:
		return poisonf("ends in the middle of a field")
	case faultLong:
		return poisonf("number does not fit 64 bits")
	case faultInt:
		return poisonf("number does not fit 32 bits")
	case faultLength:
		return poisonf("string says it has %d bytes, more than are left", n)
	case faultTooLong:
		return poisonf("string of %d bytes is over the limit of %d", n, maxText)
	case faultText:
		return poisonf("string is not UTF-8")
	case faultBranch:
		return poisonf("union has no branch %d", n)
	case faultBool:
		return poisonf("boolean is %d", n)
	case faultCount:
		return poisonf("array says it has %d items", n)
	case faultNumber:
		return poisonf("number is not finite")
	default:
		return fmt.Errorf("%w: fault %d", ErrPoison, c.fault)
	}
}

func (c *cursor) long() int64 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		u := uint64(c.b[0])
		c.b = c.b[1:]
		return int64(u>>1) ^ -int64(u&1)
	}
	return c.manyBytes()
}

func (c *cursor) manyBytes() int64 {
	u, n := binary.Uvarint(c.b)
	switch {
	case n > 0:
		c.b = c.b[n:]
		return int64(u>>1) ^ -int64(u&1)
	case n == 0:
		c.fail(faultShort, 0)
	default:
		c.fail(faultLong, 0)
	}
	return 0
}

// int32 is strict about length as well: five bytes at most, as Avro's int has.
func (c *cursor) int32() int32 {
	if len(c.b) > 0 && c.b[0] < 0x80 {
		u := uint32(c.b[0])
		c.b = c.b[1:]
		return int32(u>>1) ^ -int32(u&1)
	}
	u, n := binary.Uvarint(c.b)
	switch {
	case n == 0 && len(c.b) < 5:
		c.fail(faultShort, 0)
	case n <= 0 || n > 5 || u > math.MaxUint32:
		c.fail(faultInt, 0)
	default:
		c.b = c.b[n:]
		return int32(uint32(u)>>1) ^ -int32(uint32(u)&1)
	}
	return 0
}

// raw returns the bytes of a string, still part of the record.
func (c *cursor) raw() []byte {
	n := c.long()
	if uint64(n) > uint64(len(c.b)) {
		c.fail(faultLength, n)
		return nil
	}
	if n > maxText {
		c.fail(faultTooLong, n)
		return nil
	}
	s := c.b[:n]
	c.b = c.b[n:]
	return s
}

// text returns a string of its own.
func (c *cursor) text() string {
	b := c.raw()
	if !utf8.Valid(b) {
		c.fail(faultText, 0)
		return ""
	}
	return string(b)
}

// word returns a string through the interner; last is what the same field
// held in the record before, which it most often holds again.
func (c *cursor) word(in *interner, last *string) string {
	b := c.raw()
	if *last == string(b) {
		return *last
	}
	s, ok := in.get(b)
	if !ok {
		c.fail(faultText, 0)
		return ""
	}
	*last = s
	return s
}

func (c *cursor) bool() bool {
	if len(c.b) == 0 {
		c.fail(faultShort, 0)
		return false
	}
	v := c.b[0]
	if v > 1 {
		c.fail(faultBool, int64(v))
		return false
	}
	c.b = c.b[1:]
	return v == 1
}

func (c *cursor) float() float32 {
	if len(c.b) < 4 {
		c.fail(faultShort, 0)
		return 0
	}
	v := math.Float32frombits(binary.LittleEndian.Uint32(c.b))
	c.b = c.b[4:]
	return float32(c.finite(float64(v)))
}

func (c *cursor) double() float64 {
	if len(c.b) < 8 {
		c.fail(faultShort, 0)
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(c.b))
	c.b = c.b[8:]
	return c.finite(v)
}

// finite refuses NaN and the infinities: no reading and no speed is one, and
// JSON further on has no form for them.
func (c *cursor) finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		c.fail(faultNumber, 0)
		return 0
	}
	return v
}

// some reads the branch of a union ["null", T] and says whether T follows.
func (c *cursor) some() bool {
	switch v := c.long(); v {
	case 0:
		return false
	case 1:
		return true
	default:
		c.fail(faultBranch, v)
		return false
	}
}

// count reads the length of an array's next block; 0 ends the array. least is
// the smallest size of an item in bytes, have what was read so far.
func (c *cursor) count(least, have, most int) int {
	n := c.long()
	if n < 0 { // the other form: with the block's size in bytes behind
		n = -n
		if size := c.long(); size < 0 || uint64(size) > uint64(len(c.b)) {
			c.fail(faultLength, size)
		}
	}
	if n < 0 || n > int64(most-have) || n*int64(least) > int64(len(c.b)) {
		c.fail(faultCount, n)
		return 0
	}
	return int(n)
}

// interner keeps one copy of each string that comes again and again. It is
// bounded: when full it forgets everything and starts over.
type interner struct{ m map[string]string }

const (
	maxInterned     = 4096 // strings
	maxInternedSize = 128  // bytes of one
)

// get returns b as a string; false when it is not UTF-8.
func (in *interner) get(b []byte) (string, bool) {
	if s, ok := in.m[string(b)]; ok {
		return s, true
	}
	if !utf8.Valid(b) {
		return "", false
	}
	s := string(b)
	if len(s) > maxInternedSize {
		return s, true
	}
	if len(in.m) >= maxInterned {
		clear(in.m)
	}
	if in.m == nil {
		in.m = make(map[string]string)
	}
	in.m[s] = s
	return s, true
}
