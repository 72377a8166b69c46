package sim

import (
	"encoding/binary"
	"hash/crc32"
)

// A snapshot is magic, version, fields, and a CRC-32C of all that. It holds
// what cannot be worked out from the network: who is where, what is to come,
// and the state of every stream of chance. For the whole of Chicago it is
// about 8 KB. Times to come are kept relative to now, so they are short.
const (
	snapshotMagic   = "ELLCITY"
	snapshotVersion = 1
	crcBytes        = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot returns the city's whole state. A city restored from it goes on to
// the byte as this one does.
func (c *City) Snapshot() []byte {
	e := encoder{b: make([]byte, 0, 16<<10), now: c.now}
	e.b = append(e.b, snapshotMagic...)
	e.b = append(e.b, snapshotVersion)
	e.fixed(c.w.print)
	e.int(c.opts.Seed)
	e.int(c.opts.Start)
	e.uint(uint64(c.level))
	e.int(c.now)

	e.int(c.now - c.today.start)
	e.uint(uint64(c.nextTrip))
	for _, n := range c.runsSoFar {
		e.uint(uint64(n))
	}
	e.fixed(uint64(c.disturb))
	e.later(c.agenda.at[agendaIncident])
	e.later(c.agenda.at[agendaSwitchOn])

	c.putTrains(&e)
	e.queues(c.waiting)
	e.queues(c.layover)
	e.times(c.freeAt, 0)
	e.times(c.lastOnLeg, legGap)
	e.times(c.slowUntil, 0)
	for i := range c.riders.rng {
		e.fixed(uint64(c.riders.rng[i]))
		e.later(c.riders.at[i])
		e.flag(c.riders.silent[i])
	}
	return binary.BigEndian.AppendUint32(e.b, crc32.Checksum(e.b, castagnoli))
}

func (c *City) putTrains(e *encoder) {
	n := 0
	for i := range c.trains {
		if c.trains[i].phase != unused {
			n++
		}
	}
	e.uint(uint64(n))
	for i := range c.trains {
		t := &c.trains[i]
		if t.phase == unused {
			continue
		}
		e.uint(uint64(i))
		e.uint(uint64(t.phase))
		e.flag(t.retire)
		e.uint(uint64(t.number))
		e.fixed(uint64(t.rng))
		e.uint(uint64(t.pattern))
		e.uint(uint64(t.call))
		e.uint(uint64(t.leg + 1))
		e.ever(t.due)
		e.ever(t.ready)
		e.ever(t.hold)
		e.uint(uint64(t.repair))
		e.uint(uint64(t.patience))
		e.uint(uint64(t.seenAt))
		e.uint(uint64(t.seenDir))
		e.later(c.agenda.at[agendaTrains+int32(i)])
	}
}

// encoder appends fields.
type encoder struct {
	b   []byte
	now int64
}

func (e *encoder) uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)    { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) fixed(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }

func (e *encoder) flag(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

// later puts a time after now, or never as 0.
func (e *encoder) later(at int64) {
	if at == never {
		e.uint(0)
	} else {
		e.uint(uint64(at - e.now))
	}
}

// ever puts any time, or none.
func (e *encoder) ever(at int64) {
	e.flag(at != 0)
	if at != 0 {
		e.int(at - e.now)
	}
}

// times puts those of v that still matter: later than now - slack.
func (e *encoder) times(v []int64, slack int64) {
	n := 0
	for _, at := range v {
		if at > e.now-slack {
			n++
		}
	}
	e.uint(uint64(n))
	for i, at := range v {
		if at > e.now-slack {
			e.uint(uint64(i))
			e.int(at - e.now)
		}
	}
}

// queues puts the queues that are not empty.
func (e *encoder) queues(v [][]int32) {
	n := 0
	for _, q := range v {
		if len(q) > 0 {
			n++
		}
	}
	e.uint(uint64(n))
	for i, q := range v {
		if len(q) == 0 {
			continue
		}
		e.uint(uint64(i))
		e.uint(uint64(len(q)))
		for _, slot := range q {
			e.uint(uint64(slot))
		}
	}
}
