package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/event"
)

// digest is a sink that sums up every field of every event.
type digest struct {
	buf []byte
	sum uint32
	n   int
}

func (d *digest) fold(numbers [3]int64, texts ...string) {
	d.buf = d.buf[:0]
	for _, v := range numbers {
		d.buf = binary.BigEndian.AppendUint64(d.buf, uint64(v))
	}
	for _, s := range texts {
		d.buf = append(append(d.buf, s...), 0)
	}
	d.sum = crc32.Update(d.sum, castagnoli, d.buf)
	d.n++
}

func (d *digest) Arrival(a *event.Arrival) {
	d.fold([3]int64{a.Timestamp, int64(a.StationID), int64(a.PrevStationID)},
		a.TrainID, a.Direction, a.Line, a.TrainStatus, a.PrevDirection, a.Pattern)
}

func (d *digest) Turnstile(e *event.Turnstile) {
	d.fold([3]int64{e.Timestamp, int64(e.StationID)}, e.StationName, e.Line)
}

var rush = Options{Seed: 11, Start: chicago(2025, time.October, 14, 23, 30), Incidents: "heavy"}

// span is what these tests run: through the night, the change of timetable and
// into the rush hour.
const span = 10 * hour

func TestAFixedSeedGivesTheSameEvents(t *testing.T) {
	want := undisturbed(t)
	t.Run("again", func(t *testing.T) {
		if got := undisturbed(t); got != want {
			t.Errorf("%x and %x", got, want)
		}
	})
	t.Run("cut into random steps", func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		c := mustCity(t, cta.Chicago(), rush)
		var d digest
		for end := rush.Start + span; c.Now() < end; {
			step := int64(1)
			if r.IntN(4) > 0 {
				step = 1 + r.Int64N(90*second)
			}
			c.Advance(min(c.Now()+step, end), &d)
		}
		if d.sum != want {
			t.Error("other events")
		}
	})
	t.Run("restored from a snapshot at random moments", func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		c := mustCity(t, cta.Chicago(), rush)
		var d digest
		for end := rush.Start + span; c.Now() < end; {
			c.Advance(min(c.Now()+r.Int64N(20*minute), end), &d)
			b := c.Snapshot()
			again, err := Restore(cta.Chicago(), b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Snapshot(), b) {
				t.Fatal("a restored city has another snapshot")
			}
			if len(b) > 64<<10 {
				t.Fatalf("a snapshot of %d bytes", len(b))
			}
			c = again
		}
		if d.sum != want {
			t.Error("other events")
		}
	})
	t.Run("another seed gives another city", func(t *testing.T) {
		o := rush
		o.Seed++
		c := mustCity(t, cta.Chicago(), o)
		var d digest
		c.Advance(rush.Start+span, &d)
		if d.sum == want {
			t.Error("the same events")
		}
	})
}

func undisturbed(t *testing.T) uint32 {
	t.Helper()
	c := mustCity(t, cta.Chicago(), rush)
	var d digest
	c.Advance(rush.Start+span, &d)
	if d.n < 30_000 {
		t.Fatalf("only %d events", d.n)
	}
	return d.sum
}

func TestASnapshotKeepsInjectedIncidents(t *testing.T) {
	run := func(restore bool) uint32 {
		c := mustCity(t, cta.Chicago(), rush)
		var d digest
		c.Advance(rush.Start+8*hour, &d)
		inject(t, c, Breakdown, "red", 30)
		inject(t, c, HeldTrain, "brown", 20)
		if err := c.Inject(event.Incident{Kind: SlowZone, Line: "green", StationID: 40700, Direction: "a", Minutes: 60}); err != nil {
			t.Fatal(err)
		}
		if restore {
			var err error
			if c, err = Restore(cta.Chicago(), c.Snapshot()); err != nil {
				t.Fatal(err)
			}
		}
		c.Advance(rush.Start+span, &d)
		return d.sum
	}
	if run(false) != run(true) {
		t.Error("an incident was lost in the snapshot")
	}
}

func TestSnapshotsThatCannotBeRestored(t *testing.T) {
	c := mustCity(t, cta.Chicago(), rush)
	c.Advance(rush.Start+8*hour, &count{})
	good := c.Snapshot()
	other, err := cta.Synthetic(2)
	if err != nil {
		t.Fatal(err)
	}
	newer := slices.Clone(good)
	newer[len(snapshotMagic)]++
	for name, tt := range map[string]struct {
		net   *cta.Network
		bytes []byte
		want  error
	}{
		"nothing":                         {cta.Chicago(), nil, ErrSnapshot},
		"something else":                  {cta.Chicago(), []byte(strings.Repeat("ell", 1000)), ErrSnapshot},
		"more than there can be":          {cta.Chicago(), append(slices.Clone(good), make([]byte, 1<<20)...), ErrSnapshot},
		"a version that is newer":         {cta.Chicago(), newer, ErrNewer},
		"another network":                 {other, good, ErrNetwork},
		"bytes after the end":             {cta.Chicago(), mend(append(slices.Clone(good[:len(good)-crcBytes]), 0, 0, 0, 0, 0)), ErrSnapshot},
		"a good checksum over too little": {cta.Chicago(), mend(slices.Clone(good[:len(good)/2])), ErrSnapshot},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Restore(tt.net, tt.bytes); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("any byte changed, any length", func(t *testing.T) {
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x10
			if _, err := restoreCity(c.w, bad); err == nil {
				t.Fatalf("byte %d changed: no error", i)
			}
			if _, err := restoreCity(c.w, good[:i]); err == nil {
				t.Fatalf("cut to %d bytes: no error", i)
			}
		}
	})
}

// mend puts a good checksum at the end of bytes.
func mend(b []byte) []byte {
	if len(b) < crcBytes {
		return b
	}
	body := b[:len(b)-crcBytes]
	return binary.BigEndian.AppendUint32(slices.Clip(body), crc32.Checksum(body, castagnoli))
}

// FuzzRestore changes snapshots and mends their checksums: whatever Restore
// takes must run.
func FuzzRestore(f *testing.F) {
	c := mustCity(f, cta.Chicago(), rush)
	f.Add(c.Snapshot(), 0, byte(0))
	for i := range 20 {
		c.Advance(rush.Start+int64(i+1)*30*minute, &count{})
		f.Add(c.Snapshot(), i*100, byte(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, at int, v byte) {
		b = slices.Clone(b)
		if len(b) > 0 {
			b[uint(at)%uint(len(b))] ^= v
		}
		city, err := restoreCity(c.w, mend(b))
		if err != nil {
			return
		}
		again, err := restoreCity(c.w, city.Snapshot())
		if err != nil {
			t.Fatalf("a restored city's own snapshot: %v", err)
		}
		until := city.Now() + 20*minute
		var one, two count
		city.Advance(until, &one)
		again.Advance(until, &two)
		if one != two {
			t.Fatalf("%+v and %+v", one, two)
		}
	})
}
