package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"ell/internal/cta"
)

// Errors that Restore wraps.
var (
	// ErrSnapshot says that the bytes are not a whole snapshot.
	ErrSnapshot = errors.New("not a whole snapshot of the city")
	// ErrNewer says that a newer version of Ell wrote the snapshot.
	ErrNewer = errors.New("the city's snapshot was written by a newer version of Ell")
	// ErrNetwork says that the snapshot was taken with another network or timetable.
	ErrNetwork = errors.New("the city's snapshot belongs to another network")
)

// Restore returns the city of a snapshot, which must have been taken with the
// same network. Hostile bytes give an error, whatever they are.
func Restore(net *cta.Network, snapshot []byte) (*City, error) {
	w, err := newWorld(net)
	if err != nil {
		return nil, err
	}
	return restoreCity(w, snapshot)
}

func restoreCity(w *world, snapshot []byte) (*City, error) {
	head := len(snapshotMagic) + 1
	if len(snapshot) < head+crcBytes || len(snapshot) > w.maxSnapshot() || string(snapshot[:len(snapshotMagic)]) != snapshotMagic {
		return nil, ErrSnapshot
	}
	if v := snapshot[head-1]; v != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, this one reads %d", ErrNewer, v, snapshotVersion)
	}
	body, sum := snapshot[:len(snapshot)-crcBytes], snapshot[len(snapshot)-crcBytes:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrSnapshot)
	}
	d := decoder{b: body[head:]}
	c, err := d.city(w)
	if err == nil && d.bad == nil && len(d.b) > 0 {
		d.fail("bytes after the end")
	}
	if err == nil {
		err = d.bad
	}
	if err != nil {
		return nil, fmt.Errorf("restore the city: %w", err)
	}
	return c, nil
}

// maxSnapshot bounds a snapshot's size: 64 KB for Chicago.
func (w *world) maxSnapshot() int {
	return 4<<10 + 64*w.maxTrains + 24*len(w.stations) + 8*(w.platforms+2*len(w.legs))
}

// city reads everything; a fault that the fields alone do not show is one too.
func (d *decoder) city(w *world) (*City, error) {
	if d.fixed() != w.print && d.bad == nil {
		return nil, ErrNetwork
	}
	o := Options{Seed: d.int(), Start: d.int()}
	o.Incidents = level(d.below(uint64(levels))).String()
	now := d.int()
	d.now = now
	if d.bad != nil {
		return nil, d.bad
	}
	c, err := emptyCity(w, o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if now < o.Start || now > maxTime {
		return nil, fmt.Errorf("%w: its time is %d ms", ErrSnapshot, now)
	}
	c.now = now

	start := now - d.int()
	if start < now-maxAhead || start > now+maxAhead {
		return nil, fmt.Errorf("%w: its timetable is of %d ms", ErrSnapshot, start)
	}
	c.today = w.planAt(start)
	c.tomorrow = w.planAt(c.today.end)
	c.nextTrip = int(d.below(uint64(len(c.today.trips)) + 1))
	if c.today.start != start || c.dispatchAt() <= now {
		d.fail("the next trip lies in the past")
	}
	for i := range c.runsSoFar {
		c.runsSoFar[i] = uint32(d.below(1 << 32))
	}
	c.disturb = rng(d.fixed())
	c.agenda.set(agendaDispatch, c.dispatchAt())
	c.restoreLater(agendaIncident, d.later())
	c.restoreLater(agendaSwitchOn, d.later())
	if (c.agenda.at[agendaIncident] != never) != (c.level.gap() > 0) {
		d.fail("incidents that do not fit their level")
	}

	d.trains(c)
	inQueue := d.queues(c.waiting, w.maxTrains)
	inLayover := d.queues(c.layover, w.maxTrains)
	d.times(c.freeAt)
	d.times(c.lastOnLeg)
	d.times(c.slowUntil)
	for i := range c.riders.rng {
		c.riders.rng[i] = rng(d.fixed())
		c.riders.at[i] = d.later()
		c.riders.silent[i] = d.flag()
	}
	if d.bad != nil {
		return nil, d.bad
	}
	c.riders.hour = newClockHour(now)
	if err := c.checkRiders(); err != nil {
		return nil, err
	}
	c.riders.heapify()
	return c, c.checkTrains(inQueue, inLayover)
}

func (c *City) restoreLater(who int32, at int64) {
	if at != never {
		c.agenda.set(who, at)
	}
}

// trains reads the trains and puts them on the agenda.
func (d *decoder) trains(c *City) {
	w := c.w
	next := uint64(0)
	for range d.below(uint64(w.maxTrains) + 1) {
		slot := d.below(uint64(w.maxTrains))
		if slot < next {
			d.fail("trains out of order")
		}
		next = slot + 1
		var t train
		t.phase = phase(d.below(uint64(phases)))
		t.retire = d.flag()
		t.number = int32(d.below(firstNumber + numbers))
		t.rng = rng(d.fixed())
		t.pattern = int32(d.below(uint64(len(w.patterns))))
		p := &w.patterns[t.pattern]
		t.call = int32(d.below(uint64(len(p.calls))))
		t.leg = int32(d.below(uint64(len(w.legs))+1)) - 1
		t.due, t.ready, t.hold = d.ever(), d.ever(), d.ever()
		t.repair = int64(d.below(uint64(maxAhead)))
		t.patience = int64(d.below(uint64(maxAhead)))
		t.seenAt = int32(d.below(uint64(len(w.stations)) + 1))
		t.seenDir = uint8(d.below(uint64(len(directions))))
		at := d.later()
		if d.bad != nil {
			return
		}
		t.line = p.line
		t.id = trainID(w.codes[t.line], t.number)
		if t.phase == unused || t.number < firstNumber || c.find(t.line, t.number) != none {
			d.fail("a train that cannot be")
			return
		}
		c.trains[slot] = t
		c.restoreLater(agendaTrains+int32(slot), at)
	}
}

// checkRiders holds what draws and heap rely on: every station has a next
// moment, no later than the end of this hour.
func (c *City) checkRiders() error {
	end := c.riders.hour.start + hour
	for i, at := range c.riders.at {
		if at > end || c.riders.silent[i] != (at == end) {
			return fmt.Errorf("%w: riders out of their hour", ErrSnapshot)
		}
	}
	return nil
}

// checkTrains works out who is where and holds what the steps of trains rely
// on: one train at a platform, each queued train in its queue, and something
// to come for everyone but those that others will wake.
func (c *City) checkTrains(inQueue, inLayover []bool) error {
	wrong := func(t *train) error {
		return fmt.Errorf("%w: train %s is not where it can be", ErrSnapshot, t.id)
	}
	for i := range c.trains {
		t := &c.trains[i]
		if t.phase == unused {
			if inQueue[i] || inLayover[i] {
				return fmt.Errorf("%w: nobody waits", ErrSnapshot)
			}
			continue
		}
		at := c.callOf(t)
		onLeg := t.phase == running || t.phase == queued && t.leg != none
		if onLeg != (t.leg != none) || inQueue[i] != (t.phase == queued) || inLayover[i] != (t.phase == laidOver) {
			return wrong(t)
		}
		if onLeg {
			c.onLeg[t.leg]++
		}
		if t.phase == standing || t.phase == broken {
			if c.occupant[at.platform] != none {
				return wrong(t)
			}
			c.occupant[at.platform] = int32(i)
		}
	}
	for p, q := range c.waiting {
		for k, slot := range q {
			t := &c.trains[slot]
			onAgenda := c.agenda.at[agendaTrains+slot] != never
			if c.callOf(t).platform != int32(p) || onAgenda != (k == 0 && c.occupant[p] == none) {
				return wrong(t)
			}
		}
	}
	for n, q := range c.layover {
		for _, slot := range q {
			t := &c.trains[slot]
			if c.callOf(t).terminal != int32(n) || c.agenda.at[agendaTrains+slot] != never {
				return wrong(t)
			}
		}
	}
	for i := range c.trains {
		switch t := &c.trains[i]; t.phase {
		case staged, running, standing, broken:
			if c.agenda.at[agendaTrains+int32(i)] == never {
				return wrong(t)
			}
		case unused, queued, laidOver, phases:
		}
	}
	return nil
}
