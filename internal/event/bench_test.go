package event_test

import (
	"math"
	"testing"
	"time"

	"github.com/twmb/avro"

	"ell/internal/event"
)

// The library's way with the same records, once into structs and once into
// maps, as a program would use it that knows no schema.
type (
	wireKey struct {
		StationID int32 `avro:"station_id"`
		Timestamp int64 `avro:"timestamp"`
	}
	wireArrival struct {
		StationID     int32   `avro:"station_id"`
		TrainID       string  `avro:"train_id"`
		Direction     string  `avro:"direction"`
		Line          string  `avro:"line"`
		TrainStatus   string  `avro:"train_status"`
		PrevStationID *int32  `avro:"prev_station_id"`
		PrevDirection *string `avro:"prev_direction"`
	}
	wireTurnstile struct {
		StationID   int32  `avro:"station_id"`
		StationName string `avro:"station_name"`
		Line        string `avro:"line"`
	}
)

// hot is one of the two records that come by the hundred thousand.
type hot struct {
	name       string
	key, value *avro.Schema
	rec        event.Record
	decode     func() error // by package event
	encode     func([]byte) []byte
	into       func() any // a struct for the library
	of         any        // the record as one
}

func hotRecords(tb testing.TB) []hot {
	e, d, _ := codecs(tb)
	s := samples(e, d)
	ar, tu := s["arrival"].rec, s["turnstile"].rec
	a, u := new(event.Arrival), new(event.Turnstile)
	out := []hot{
		{
			name: "arrival", key: parsed(tb, "arrival_key"), value: parsed(tb, "arrival_value"), rec: ar,
			decode: func() error { return d.Arrival(&ar, a) },
			encode: func(b []byte) []byte {
				return e.AppendArrival(e.AppendArrivalKey(b, a.StationID, a.Timestamp), a)
			},
			into: func() any { return new(wireArrival) }, of: new(wireArrival),
		},
		{
			name: "turnstile", key: parsed(tb, "turnstile_key"), value: parsed(tb, "turnstile_value"), rec: tu,
			decode: func() error { return d.Turnstile(&tu, u) },
			encode: func(b []byte) []byte {
				return e.AppendTurnstile(e.AppendTurnstileKey(b, u.StationID, u.Timestamp), u)
			},
			into: func() any { return new(wireTurnstile) }, of: new(wireTurnstile),
		},
	}
	for _, h := range out {
		if err := h.decode(); err != nil {
			tb.Fatal(err)
		}
		if _, err := h.value.Decode(h.rec.Value[5:], h.of); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// perOp measures f for a comparison within one benchmark, in nanoseconds: the
// best of some rounds, since a neighbour on the machine only ever slows it down.
func perOp(b *testing.B, f func() error) float64 {
	b.Helper()
	const rounds, each = 7, 50_000
	best := math.Inf(1)
	for range rounds {
		began := time.Now()
		for range each {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, float64(time.Since(began).Nanoseconds())/each)
	}
	return best
}

// BenchmarkAgainstTheLibrary prints, for key and value of the hot records, what
// package event takes and how many times as long the Avro library does.
func BenchmarkAgainstTheLibrary(b *testing.B) {
	for _, h := range hotRecords(b) {
		ways := map[string][3]func() error{}
		buf := make([]byte, 0, 512)
		var k wireKey
		decode := func(value func() any) func() error {
			return func() error {
				if _, err := h.key.Decode(h.rec.Key[5:], &k); err != nil {
					return err
				}
				_, err := h.value.Decode(h.rec.Value[5:], value())
				return err
			}
		}
		var generic, genericKey any
		if _, err := h.value.Decode(h.rec.Value[5:], &generic); err != nil {
			b.Fatal(err)
		}
		if _, err := h.key.Decode(h.rec.Key[5:], &genericKey); err != nil {
			b.Fatal(err)
		}
		encode := func(key, value any) func() error {
			return func() (err error) {
				if buf, err = h.key.AppendEncode(event.AppendFrame(buf[:0], 1), key); err != nil {
					return err
				}
				buf, err = h.value.AppendEncode(event.AppendFrame(buf, 2), value)
				return err
			}
		}
		ways["decode"] = [3]func() error{h.decode, decode(h.into), decode(func() any { return new(any) })}
		ways["encode"] = [3]func() error{
			func() error { buf = h.encode(buf[:0]); return nil },
			encode(&k, h.of), encode(genericKey, generic),
		}
		for _, way := range []string{"decode", "encode"} {
			b.Run(h.name+"/"+way, func(b *testing.B) {
				f := ways[way]
				ours, structs, maps := perOp(b, f[0]), perOp(b, f[1]), perOp(b, f[2])
				for b.Loop() {
					if err := f[0](); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(1e9/ours, "records/s")
				b.ReportMetric(structs/ours, "x-structs")
				b.ReportMetric(maps/ours, "x-maps")
			})
		}
	}
}

// BenchmarkForeignWriter is the way of records whose schema is not ours.
func BenchmarkForeignWriter(b *testing.B) {
	e, _, texts := codecs(b)
	texts[70] = `{"type":"record","name":"turnstile_value","namespace":"org.chicago.cta","fields":[
		{"name":"line","type":"string"},{"name":"station_id","type":"int"},{"name":"station_name","type":"string"}]}`
	writer, err := avro.Parse(texts[70])
	if err != nil {
		b.Fatal(err)
	}
	value, err := writer.AppendEncode(event.AppendFrame(nil, 70), map[string]any{"line": "red", "station_id": 40900, "station_name": "Howard"})
	if err != nil {
		b.Fatal(err)
	}
	d := event.NewDecoder(texts)
	rec := event.Record{Key: e.AppendTurnstileKey(nil, 40900, noon), Value: value}
	var u event.Turnstile
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Turnstile(&rec, &u); err != nil {
			b.Fatal(err)
		}
	}
}
