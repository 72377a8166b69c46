package process

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"

	"ell/internal/event"
)

// script reads arbitrary bytes as small numbers.
type script []byte

func (s *script) below(n int) int {
	if len(*s) == 0 || n <= 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % n
}

// FuzzLines: no order of events brings the lines to panic or to tell nonsense,
// and aborts leave no trace in what is counted.
func FuzzLines(f *testing.F) {
	f.Add([]byte("in order"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 200, 201, 202, 203, 204, 205})
	f.Add([]byte{255, 254, 0, 0, 0, 1, 255, 255, 8, 8, 8, 8, 8, 8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	dec, enc := newCodec(f)
	m := mustMap(f)
	li := m.byLine["green"]
	info := &m.lines[li]
	f.Fuzz(func(t *testing.T, data []byte) {
		s := script(data[:min(len(data), 1000)])
		red := NewLines(dec, enc, testNames, m, event.LinePartition("green"))
		out := &recorder{}
		now := t0
		for len(s) > 0 {
			switch op := s.below(12); op {
			case 0:
				now += int64(s.below(256)) * 60_000
				mustProcess(t, red, tickRecord(enc, now), out)
			case 1:
				mustProcess(t, red, tickRecord(enc, now-int64(s.below(256))*1000), out)
			case 2:
				out.end(t, red, s.below(2) == 0)
			default:
				at := &info.sites[s.below(len(info.sites))]
				now += int64(s.below(40)) * 1000
				a := event.Arrival{
					StationID: at.station, Direction: at.dir.String(), Line: "green", TrainID: string(rune('A' + s.below(4))),
					TrainStatus: statusWords[max(0, s.below(8)-5)], Timestamp: now - int64(s.below(256)*s.below(8))*1000,
				}
				if op > 8 {
					a.Pattern = m.patterns[s.below(len(m.patterns))].id
				}
				if err := red.Process(arrivalRecord(enc, testNames.ByLine(), &a), out); err != nil {
					t.Fatalf("%+v: %v", a, err)
				}
			}
		}
		out.end(t, red, true)
		for _, o := range out.log {
			r := event.Record{Topic: o.topic, Key: o.key, Value: o.value}
			switch {
			case o.state || o.value == nil:
			case o.topic == testNames.Trains():
				var tr event.Train
				if err := dec.Train(&r, &tr); err != nil {
					t.Fatal(err)
				}
				p := m.byPattern[tr.Pattern]
				calls := m.patterns[p].calls
				if int(tr.Call) >= len(calls) || int(tr.NextCall) >= len(calls) || tr.NextCall < -1 || tr.Late < 0 ||
					info.sites[calls[tr.Call].site].station != tr.StationID || tr.DepartAt < tr.ArrivedAt ||
					(tr.NextCall >= 0) != (tr.DueAt > 0) || tr.NextCall >= 0 && tr.DueAt < tr.DepartAt {
					t.Fatalf("told nonsense: %+v", tr)
				}
			case o.topic == testNames.Lines():
				var ls event.LineStatus
				if err := dec.Line(&r, &ls); err != nil {
					t.Fatal(err)
				}
				if ls.Trains < 0 || ls.Trains > 4 || (ls.Status == event.StatusGood) != (ls.Reason == "") {
					t.Fatalf("told nonsense: %+v", ls)
				}
			}
		}
		// What was written can be read, and says the same.
		again := NewLines(dec, enc, testNames, m, event.LinePartition("green"))
		out.restore(t, again, true)
		restored := knowledge(again)
		for k, v := range knowledge(red) {
			if got := restored[k]; got != v {
				t.Fatalf("%s restored as %s, want %s", k, got, v)
			}
		}
	})
}

// FuzzTurnstiles: whatever the order, totals are the number of entries and
// windows never hold more.
func FuzzTurnstiles(f *testing.F) {
	f.Add([]byte("a few entries"))
	f.Add([]byte{0, 0, 255, 255, 1, 1, 2, 0, 3, 9, 200, 100, 2, 2})
	dec, enc := newCodec(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		red := NewTurnstiles(dec, enc, testNames, howardTopic)
		out := &recorder{}
		total, kept, pending := 0, 0, 0
		for ; len(data) >= 2; data = data[2:] {
			if data[0] == 0 {
				commit := data[1]%2 == 0
				out.end(t, red, commit)
				if commit {
					kept += pending
				}
				pending, total = 0, kept
				continue
			}
			at := t0 + int64(binary.BigEndian.Uint16(data))*20_000
			mustProcess(t, red, turnstileRecord(enc, howardTopic, howard, at), out)
			pending++
			total++
		}
		out.end(t, red, true)
		if total == 0 {
			return
		}
		var sum event.Summary
		if err := json.Unmarshal([]byte(out.table("TURNSTILE_SUMMARY")["40900"]), &sum); err != nil || sum.Count != int64(total) {
			t.Fatalf("total %+v, want %d (%v)", sum, total, err)
		}
		var in int64
		for k, n := range windowsOf(t, out) {
			if n <= 0 {
				t.Fatalf("window %s holds %d", k, n)
			}
			in += n
		}
		if in+red.gates.Peek(howard).late > int64(total) {
			t.Fatalf("%d in windows and %d late of %d", in, red.gates.Peek(howard).late, total)
		}
	})
}

// FuzzStations: any bytes are a row or poison, and poison leaves no trace.
func FuzzStations(f *testing.F) {
	f.Add([]byte(nil), []byte(howard1), false)
	f.Add([]byte(nil), []byte(redLink), true)
	f.Add([]byte(`{"stop_id":30173}`), []byte(nil), false)
	f.Add([]byte(`{"id":1}`), []byte(`{"op":"d","before":{"id":1}}`), true)
	f.Add([]byte(`7`), []byte(`{"schema":{},"payload":null}`), true)
	f.Fuzz(func(t *testing.T, key, value []byte, links bool) {
		red, out := NewStations(testNames), &recorder{}
		mustProcess(t, red, s("", howard1), out)
		mustProcess(t, red, l("", redLink), out)
		out.end(t, red, true)
		n := len(out.log)
		r := &event.Record{Topic: testNames.Stations(), Key: key, Value: value}
		if links {
			r.Topic = testNames.StationLines()
		}
		err := red.Process(r, out)
		if err != nil && !errors.Is(err, event.ErrPoison) {
			t.Fatalf("error %v is not poison", err)
		}
		out.end(t, red, true)
		if err != nil && len(out.log) != n {
			t.Fatalf("poison left %v behind", out.log[n:])
		}
		for _, o := range out.log {
			if !o.state && o.value != nil && !json.Valid(o.value) {
				t.Fatalf("not JSON: %q", o.value)
			}
		}
		again := NewStations(testNames)
		out.restore(t, again, true)
	})
}

// FuzzRestore: any bytes are state or an error.
func FuzzRestore(f *testing.F) {
	dec, enc := newCodec(f)
	m := mustMap(f)
	red := NewLines(dec, enc, testNames, m, event.LinePartition("green"))
	out := &recorder{}
	for i, c := range m.patterns[m.byPattern["green-ashland"]].calls[:9] {
		at := &m.lines[m.byLine["green"]].sites[c.site]
		mustProcess(f, red, arrivalRecord(enc, testNames.ByLine(), &event.Arrival{
			StationID: at.station, Direction: at.dir.String(), Line: "green", TrainID: "GR1", TrainStatus: event.InService, Timestamp: t0 + int64(i)*90_000,
		}), out)
	}
	out.end(f, red, true)
	for k, v := range out.state() {
		f.Add([]byte(k), []byte(v))
	}
	f.Add([]byte("40900.howard"), []byte{stateVersion, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("stop/30173"), []byte{stateVersion, 2, 2, 'X', 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		for _, red := range []reducer{
			NewLines(dec, enc, testNames, m, event.LinePartition("green")),
			NewTurnstiles(dec, enc, testNames, howardTopic), NewStations(testNames),
		} {
			if err := red.Restore(key, value); err != nil {
				if !errors.Is(err, errState) {
					t.Fatalf("error %v does not say that state is unreadable", err)
				}
				continue
			}
			// State that was accepted can be worked with.
			out := &recorder{}
			if l, ok := red.(*Lines); ok {
				mustProcess(t, l, tickRecord(enc, t0+3600_000), out)
				mustProcess(t, l, tickRecord(enc, maxTime), out)
			}
			out.end(t, red, true)
		}
	})
}
