package process

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"ell/internal/cta"
	"ell/internal/event"
)

// registry numbers the schemas in their order, from 1.
type registry struct{ ids event.IDs }

func newRegistry() registry {
	r := registry{make(event.IDs)}
	for i, s := range event.Schemas() {
		r.ids[s.Name] = i + 1
	}
	return r
}

func (r registry) Schema(id event.ID) (string, error) {
	all := event.Schemas()
	if id < 1 || id > len(all) {
		return "", event.ErrUnknownSchema
	}
	return all[id-1].Text, nil
}

func newCodec(tb testing.TB) (*event.Decoder, *event.Encoder) {
	tb.Helper()
	r := newRegistry()
	enc, err := event.NewEncoder(r.ids)
	if err != nil {
		tb.Fatal(err)
	}
	return event.NewDecoder(r), enc
}

var testNames = event.Names{Prefix: event.DefaultPrefix, Layout: event.PerStation}

func mustMap(tb testing.TB) *Map {
	tb.Helper()
	m, err := NewMap(cta.Chicago())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// reducer is what all stages are.
type reducer interface {
	Restore(key, value []byte) error
	Process(r *event.Record, out Output) error
	Flush(out Output) error
	Commit()
	Rewind()
}

type output struct {
	topic      string
	partition  int32
	key, value []byte
	headers    []event.Header
	state      bool
}

func (o output) String() string {
	s := fmt.Sprintf("%s-%d %q: %q", o.topic, o.partition, o.key, o.value)
	for _, h := range o.headers {
		s += fmt.Sprintf(" %s=%q", h.Key, h.Value)
	}
	return s
}

func (o output) same(p output) bool {
	return o.topic == p.topic && o.partition == p.partition && o.state == p.state &&
		bytes.Equal(o.key, p.key) && bytes.Equal(o.value, p.value) && (o.value == nil) == (p.value == nil) &&
		slices.EqualFunc(o.headers, p.headers, func(a, b event.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) })
}

// recorder is an Output that keeps copies of everything, and checks at the end
// of a transaction that no key and no value it was given has changed.
type recorder struct {
	given []output // the slices as they were given
	kept  []output // copies
	log   []output // copies of committed ones
}

func cloneOutput(o output) output {
	o.key, o.value = slices.Clone(o.key), slices.Clone(o.value)
	o.headers = cloneHeaders(o.headers)
	return o
}

func cloneHeaders(hs []event.Header) []event.Header {
	hs = slices.Clone(hs)
	for i := range hs {
		hs[i].Value = slices.Clone(hs[i].Value)
	}
	return hs
}

func (r *recorder) add(o output) {
	r.given = append(r.given, o)
	r.kept = append(r.kept, cloneOutput(o))
}

func (r *recorder) Emit(topic string, partition int32, key, value []byte, headers ...event.Header) {
	r.add(output{topic: topic, partition: partition, key: key, value: value, headers: cloneHeaders(headers)})
}

func (r *recorder) State(key, value []byte) { r.add(output{key: key, value: value, state: true}) }

// end ends the transaction.
func (r *recorder) end(tb testing.TB, red reducer, commit bool) {
	tb.Helper()
	if err := red.Flush(r); err != nil {
		tb.Fatalf("flush: %v", err)
	}
	for i := range r.given {
		if a, b := r.given[i], r.kept[i]; !a.same(b) {
			tb.Fatalf("output changed before the transaction ended:\n was %s\n  is %s", b, a)
		}
	}
	if commit {
		r.log = append(r.log, r.kept...)
		red.Commit()
	} else {
		red.Rewind()
	}
	r.given, r.kept = r.given[:0], r.kept[:0]
}

// table is the last value of each key of a topic, deletions left out.
func (r *recorder) table(topic string) map[string]string {
	out := make(map[string]string)
	for _, o := range r.log {
		if o.state || o.topic != topic {
			continue
		}
		if o.value == nil {
			delete(out, string(o.key))
		} else {
			out[string(o.key)] = string(o.value)
		}
	}
	return out
}

// state is the compacted changelog.
func (r *recorder) state() map[string]string {
	out := make(map[string]string)
	for _, o := range r.log {
		if !o.state {
			continue
		}
		if o.value == nil {
			delete(out, string(o.key))
		} else {
			out[string(o.key)] = string(o.value)
		}
	}
	return out
}

// restore gives a reducer the whole changelog, or only the last record of each key.
func (r *recorder) restore(tb testing.TB, red reducer, compacted bool) {
	tb.Helper()
	last := make(map[string]int)
	for i, o := range r.log {
		if o.state {
			last[string(o.key)] = i
		}
	}
	for i, o := range r.log {
		if !o.state || compacted && last[string(o.key)] != i {
			continue
		}
		if err := red.Restore(o.key, o.value); err != nil {
			tb.Fatalf("restore %q: %v", o.key, err)
		}
	}
}

// turnstileRecord and arrivalRecord are what sensors write.
func turnstileRecord(enc *event.Encoder, topic string, station int32, at int64) *event.Record {
	return &event.Record{
		Topic: topic,
		Key:   enc.AppendTurnstileKey(nil, station, at),
		Value: enc.AppendTurnstile(nil, &event.Turnstile{StationID: station, StationName: "X", Line: "red"}),
	}
}

func arrivalRecord(enc *event.Encoder, topic string, a *event.Arrival) *event.Record {
	r := &event.Record{
		Topic: topic, Appended: a.Timestamp,
		Key: enc.AppendArrivalKey(nil, a.StationID, a.Timestamp), Value: enc.AppendArrival(nil, a),
	}
	if a.Pattern != "" {
		r.Headers = append(r.Headers, event.Header{Key: event.HeaderPattern, Value: []byte(a.Pattern)})
	}
	return r
}

func clockRecord(enc *event.Encoder, topic string, c event.Clock) *event.Record {
	return &event.Record{Topic: topic, Key: enc.AppendClockKey(nil), Value: enc.AppendClock(nil, &c)}
}

// tickRecord is a clock record among the arrivals by line.
func tickRecord(enc *event.Encoder, at int64) *event.Record {
	r := clockRecord(enc, testNames.ByLine(), event.Clock{CityTime: at, Speed: 1, Incidents: "off"})
	r.Headers = []event.Header{{Key: event.HeaderTick}}
	return r
}

func mustJSON(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// testRun is the timetable's time from arriving at a call of the Red Line to
// arriving at the next, in seconds.
func testRun(call int) float64 {
	return cta.Chicago().Pattern("red-main").Calls[call].Run + cta.Dwell.Seconds()
}

func sortArrivals(in []*event.Arrival) {
	slices.SortStableFunc(in, func(a, b *event.Arrival) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
}
