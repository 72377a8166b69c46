package process

import (
	"runtime"
	"testing"
	"weak"

	"ell/internal/event"
)

// A record's key, value and headers point into the whole fetch that it came in,
// megabytes. A reducer that keeps a few of its bytes keeps all of that.
func TestNothingOfARecordIsKeptOnceItsTransactionEnded(t *testing.T) {
	dec, enc := newCodec(t)
	m := mustMap(t)
	arrival := cityArrivals(t, "off", 5, "red")[0]
	byLine := arrivalRecord(enc, testNames.ByLine(), &arrival)
	for _, c := range []struct {
		name    string
		reducer reducer
		records []*event.Record
	}{
		{"turnstiles", NewTurnstiles(dec, enc, testNames, "t"), []*event.Record{turnstileRecord(enc, "t", arrival.StationID, arrival.Timestamp)}},
		{"rail", NewRail(dec, enc, testNames, m), []*event.Record{arrivalRecord(enc, "t", &arrival), clockRecord(enc, testNames.Clock(), event.Clock{CityTime: arrival.Timestamp + 60_000, Incidents: "off"})}},
		{"lines", NewLines(dec, enc, testNames, m, event.LinePartition("red")), []*event.Record{byLine, tickRecord(enc, arrival.Timestamp+60_000)}},
		{"stations", NewStations(testNames), []*event.Record{s("40900", howard1), l("1", redLink)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fetches []weak.Pointer[byte]
			var out sink
			for _, r := range c.records {
				r, fetch := fetched(r)
				fetches = append(fetches, fetch)
				if err := c.reducer.Process(r, &out); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.reducer.Flush(&out); err != nil {
				t.Fatal(err)
			}
			if out.emitted == 0 {
				t.Fatal("nothing came of the records")
			}
			c.reducer.Commit()
			runtime.GC()
			for i, f := range fetches {
				if f.Value() != nil {
					t.Errorf("record %d is still held", i)
				}
			}
			runtime.KeepAlive(c.reducer)
		})
	}
}

// fetched copies a record into one piece of memory, as the client gives it, and
// returns what tells whether that is still in use.
func fetched(r *event.Record) (*event.Record, weak.Pointer[byte]) {
	fetch := make([]byte, 0, 1<<16)
	into := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(fetch)
		fetch = append(fetch, b...)
		return fetch[at:len(fetch):len(fetch)]
	}
	c := *r
	c.Key, c.Value, c.Headers = into(r.Key), into(r.Value), nil
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, event.Header{Key: h.Key, Value: into(h.Value)})
	}
	return &c, weak.Make(&fetch[:1][0])
}
