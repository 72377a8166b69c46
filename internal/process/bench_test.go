package process

import (
	"cmp"
	"slices"
	"testing"

	"ell/internal/event"
	"ell/internal/sim"

	"ell/internal/cta"
)

// sink is an Output that drops everything.
type sink struct{ emitted, state int }

func (s *sink) Emit(string, int32, []byte, []byte, ...event.Header) { s.emitted++ }
func (s *sink) State([]byte, []byte)                                { s.state++ }

// batch is how many records the hot paths are measured on between commits.
const batch = 10_000

func turnstileBatch(enc *event.Encoder) []*event.Record {
	out := make([]*event.Record, batch)
	for i := range out {
		out[i] = turnstileRecord(enc, sharedNames.Turnstiles(0, ""), 40000+int32(i%144), 1_776_000_000_000+int64(i)*50)
	}
	return out
}

func run(tb testing.TB, red reducer, records []*event.Record, out Output) {
	for _, r := range records {
		if err := red.Process(r, out); err != nil {
			tb.Fatal(err)
		}
	}
	if err := red.Flush(out); err != nil {
		tb.Fatal(err)
	}
	red.Commit()
}

func TestTheHotPathsDoNotAllocate(t *testing.T) {
	dec, enc := newCodec(t)
	m := mustMap(t)
	var out sink

	records := turnstileBatch(enc)
	turnstiles := NewTurnstiles(dec, enc, sharedNames, sharedNames.Turnstiles(0, ""))
	run(t, turnstiles, records, &out)
	if n := testing.AllocsPerRun(10, func() { run(t, turnstiles, records, &out) }); n/batch > 0.001 {
		t.Errorf("turnstiles: %v allocations in %d records with flush and commit", n, batch)
	}

	arrivals := cityArrivals(t, "off", 30, "")
	var in []*event.Record
	for i := range arrivals {
		in = append(in, arrivalRecord(enc, testNames.Arrivals(arrivals[i].StationID, "x"), &arrivals[i]))
	}
	rail := NewRail(dec, enc, testNames, m)
	run(t, rail, in, &out)
	if n := testing.AllocsPerRun(10, func() { run(t, rail, in, &out) }); n/float64(len(in)) > 0.001 {
		t.Errorf("rail: %v allocations in %d records with flush and commit", n, len(in))
	}
}

func BenchmarkTurnstiles(b *testing.B) {
	dec, enc := newCodec(b)
	records := turnstileBatch(enc)
	red := NewTurnstiles(dec, enc, sharedNames, sharedNames.Turnstiles(0, ""))
	var out sink
	b.ReportAllocs()
	for b.Loop() {
		run(b, red, records, &out)
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkLines takes the whole network through a rush hour, with a tick every
// 10 s and a commit with each, as at 100 times real time.
func BenchmarkLines(b *testing.B) {
	start := weekday(7, 30)
	city, err := sim.New(cta.Chicago(), sim.Options{Seed: 11, Start: start})
	if err != nil {
		b.Fatal(err)
	}
	dec, enc := newCodec(b)
	m := mustMap(b)
	var log cityLog
	var steps [][]*event.Record // by partition, in one list
	n := 0
	for now := start + 10_000; now <= start+3600_000; now += 10_000 {
		log.arrivals = log.arrivals[:0]
		city.Advance(now, &log)
		var step []*event.Record
		for i := range log.arrivals {
			a := &log.arrivals[i]
			r := arrivalRecord(enc, testNames.ByLine(), a)
			r.Partition = event.LinePartition(a.Line)
			step = append(step, r)
			n++
		}
		for p := range int32(8) {
			r := tickRecord(enc, now)
			r.Partition = p
			step = append(step, r)
		}
		steps = append(steps, step)
	}
	var out sink
	b.ReportAllocs()
	for b.Loop() {
		var reds [8]*Lines
		for p := range reds {
			reds[p] = NewLines(dec, enc, testNames, m, int32(p))
		}
		for _, step := range steps {
			for _, r := range step {
				if err := reds[r.Partition].Process(r, &out); err != nil {
					b.Fatal(err)
				}
			}
			for _, red := range reds {
				if err := red.Flush(&out); err != nil {
					b.Fatal(err)
				}
				red.Commit()
			}
		}
	}
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "arrivals/s")
}

// BenchmarkLinesBacklog takes the whole network through a day as one who has
// fallen behind does: no clock between the arrivals, a commit every few thousand.
func BenchmarkLinesBacklog(b *testing.B) {
	dec, enc := newCodec(b)
	m := mustMap(b)
	var in []*event.Record
	for _, a := range cityArrivals(b, "normal", 24*60, "") {
		r := arrivalRecord(enc, testNames.ByLine(), &a)
		r.Partition = event.LinePartition(a.Line)
		in = append(in, r)
	}
	slices.SortStableFunc(in, func(a, b *event.Record) int { return cmp.Compare(a.Partition, b.Partition) })
	var out sink
	b.ReportAllocs()
	for b.Loop() {
		var red *Lines
		for i, r := range in {
			if i == 0 || r.Partition != in[i-1].Partition {
				red = NewLines(dec, enc, testNames, m, r.Partition)
			}
			if err := red.Process(r, &out); err != nil {
				b.Fatal(err)
			}
			if i%4096 == 0 {
				if err := red.Flush(&out); err != nil {
					b.Fatal(err)
				}
				red.Commit()
			}
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(in))/b.Elapsed().Seconds(), "arrivals/s")
}
