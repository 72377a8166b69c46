package sim

import (
	"encoding/binary"
	"fmt"
)

// maxAhead bounds every distance in time within a snapshot, ms: nothing is
// planned more than two days ahead or remembered longer.
const maxAhead = 48 * hour

// decoder reads fields. After the first fault every field is zero.
type decoder struct {
	b   []byte
	now int64
	bad error
}

func (d *decoder) fail(what string) {
	if d.bad == nil {
		d.bad = fmt.Errorf("%w: %s", ErrSnapshot, what)
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("it ends too early")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("it ends too early")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) fixed() uint64 {
	if len(d.b) < 8 {
		d.fail("it ends too early")
		return 0
	}
	v := binary.BigEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

// below reads a number less than n.
func (d *decoder) below(n uint64) uint64 {
	v := d.uint()
	if v >= n {
		d.fail("a number out of bounds")
		return 0
	}
	return v
}

func (d *decoder) flag() bool { return d.below(2) == 1 }

// later reads a time after now, or never.
func (d *decoder) later() int64 {
	v := d.uint()
	if v == 0 {
		return never
	}
	if v > uint64(maxAhead)*365 { // the next incident may be far off
		d.fail("a time out of bounds")
	}
	return d.now + int64(v)
}

// ever reads any time, or 0.
func (d *decoder) ever() int64 {
	if !d.flag() {
		return 0
	}
	v := d.int()
	if v < -maxAhead*365 || v > maxAhead || d.now+v == 0 {
		d.fail("a time out of bounds")
		return 0
	}
	return d.now + v
}

// times reads the times that times of the encoder put.
func (d *decoder) times(v []int64) {
	next := uint64(0)
	for range d.below(uint64(len(v)) + 1) {
		i := d.below(uint64(len(v)))
		at := d.int()
		if i < next || at < -maxAhead || at > maxAhead {
			d.fail("a time out of bounds")
		}
		if d.bad != nil {
			return
		}
		v[i], next = d.now+at, i+1
	}
}

// queues reads queues of trains and says who stands in one.
func (d *decoder) queues(v [][]int32, trains int) []bool {
	in := make([]bool, trains)
	next := uint64(0)
	for range d.below(uint64(len(v)) + 1) {
		i := d.below(uint64(len(v)))
		if i < next {
			d.fail("queues out of order")
		}
		next = i + 1
		for range d.below(uint64(trains) + 1) {
			slot := d.below(uint64(trains))
			if d.bad != nil {
				return in
			}
			if in[slot] {
				d.fail("a train in two queues")
				return in
			}
			in[slot] = true
			v[i] = append(v[i], int32(slot))
		}
	}
	return in
}
