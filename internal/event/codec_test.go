package event_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"ell/internal/event"
)

var update = flag.Bool("update", false, "write golden files anew")

// known resolves the ids that fixedIDs gives.
type known map[event.ID]string

func (k known) Schema(id event.ID) (string, error) {
	if text, ok := k[id]; ok {
		return text, nil
	}
	return "", fmt.Errorf("id %d: %w", id, event.ErrUnknownSchema)
}

func fixedIDs() (event.IDs, known) {
	ids, texts := event.IDs{}, known{}
	for i, s := range event.Schemas() {
		ids[s.Name] = i + 1
		texts[i+1] = s.Text
	}
	return ids, texts
}

func codecs(t testing.TB) (*event.Encoder, *event.Decoder, known) {
	t.Helper()
	ids, texts := fixedIDs()
	enc, err := event.NewEncoder(ids)
	if err != nil {
		t.Fatal(err)
	}
	return enc, event.NewDecoder(texts), texts
}

const noon = 1776196800000

var (
	arrival = event.Arrival{StationID: 40900, Timestamp: noon, TrainID: "RD101", Direction: "b", Line: "red", TrainStatus: event.InService, PrevStationID: 41190, PrevDirection: "a", Pattern: "red-main"}
	first   = event.Arrival{StationID: 40900, Timestamp: noon, TrainID: "RD101", Direction: "b", Line: "red", TrainStatus: event.InService}
	entry   = event.Turnstile{StationID: 40900, Timestamp: noon, StationName: "O'Hare – «größer»", Line: "red"}
	source  = event.Source{Topic: "t", Partition: 3, Offset: 1 << 40, Appended: noon}
	yes     = true
	sixty   = 60.0
)

// samples are one record of each kind: how it is written, read back, and what it is.
func samples(e *event.Encoder, d *event.Decoder) map[string]struct {
	rec  event.Record
	want any
	read func(*event.Record) (any, error)
} {
	type sample = struct {
		rec  event.Record
		want any
		read func(*event.Record) (any, error)
	}
	train := event.Train{TrainID: "RD101", Line: "red", Pattern: "red-main", Call: 3, StationID: 40900, Direction: "b", Status: event.InService, ArrivedAt: noon, DepartAt: noon + 1, NextCall: 4, DueAt: noon + 2, DelayS: -7, Late: 1, Source: source}
	line := event.LineStatus{Line: "red", Status: event.StatusSlow, Reason: "because", Trains: 9, Headways: []event.Headway{{Direction: "a", Observed: 240, Scheduled: 300}, {Direction: "b"}}, UpdatedAt: noon, Late: 2, Source: source}
	window := event.Window{StationID: 40900, Start: noon, End: noon + 300000, Count: 17}
	clock := event.Clock{CityTime: noon, WallTime: noon + 5, Speed: 0.5, Paused: true, Seed: -3, Start: noon - 9, Incidents: "heavy", WeatherSent: noon - 1}
	weather := event.Weather{Timestamp: noon, Temperature: 71.5, Status: "sunny"}
	command := event.Command{ID: "c1", IssuedAt: noon, Speed: &sixty, Paused: &yes, Incident: &event.Incident{Kind: "breakdown", Line: "red", TrainID: "RD101", Minutes: 5}}
	empty := event.Command{ID: "c2", IssuedAt: noon}
	arr := func(r *event.Record) (any, error) { var v event.Arrival; err := d.Arrival(r, &v); return v, err }
	com := func(r *event.Record) (any, error) { var v event.Command; err := d.Command(r, &v); return v, err }
	return map[string]sample{
		"arrival": {event.Record{Key: e.AppendArrivalKey(nil, 40900, noon), Value: e.AppendArrival(nil, &arrival),
			Headers: []event.Header{{Key: event.HeaderPattern, Value: []byte("red-main")}}}, arrival, arr},
		"first_arrival": {event.Record{Key: e.AppendArrivalKey(nil, 40900, noon), Value: e.AppendArrival(nil, &first)}, first, arr},
		"turnstile": {event.Record{Key: e.AppendTurnstileKey(nil, 40900, noon), Value: e.AppendTurnstile(nil, &entry)}, entry,
			func(r *event.Record) (any, error) { var v event.Turnstile; err := d.Turnstile(r, &v); return v, err }},
		"weather": {event.Record{Key: e.AppendWeatherKey(nil, noon), Value: e.AppendWeather(nil, &weather)}, weather,
			func(r *event.Record) (any, error) { var v event.Weather; err := d.Weather(r, &v); return v, err }},
		"train": {event.Record{Key: e.AppendTrainKey(nil, "RD101"), Value: e.AppendTrain(nil, &train)}, train,
			func(r *event.Record) (any, error) { var v event.Train; err := d.Train(r, &v); return v, err }},
		"line": {event.Record{Key: e.AppendLineKey(nil, "red"), Value: e.AppendLine(nil, &line)}, line,
			func(r *event.Record) (any, error) { var v event.LineStatus; err := d.Line(r, &v); return v, err }},
		"window": {event.Record{Key: e.AppendWindowKey(nil, 40900, noon), Value: e.AppendWindow(nil, &window)}, window,
			func(r *event.Record) (any, error) { var v event.Window; err := d.Window(r, &v); return v, err }},
		"clock": {event.Record{Key: e.AppendClockKey(nil), Value: e.AppendClock(nil, &clock)}, clock,
			func(r *event.Record) (any, error) { var v event.Clock; err := d.Clock(r, &v); return v, err }},
		"command":       {event.Record{Key: e.AppendCommandKey(nil, "c1"), Value: e.AppendCommand(nil, &command)}, command, com},
		"empty_command": {event.Record{Key: e.AppendCommandKey(nil, "c2"), Value: e.AppendCommand(nil, &empty)}, empty, com},
	}
}

func TestEveryRecordComesBackAsItWasWritten(t *testing.T) {
	e, d, _ := codecs(t)
	for name, s := range samples(e, d) {
		t.Run(name, func(t *testing.T) {
			got, err := s.read(&s.rec)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(s.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheBytesOnTheWireDoNotChange(t *testing.T) {
	e, d, _ := codecs(t)
	for name, s := range samples(e, d) {
		t.Run(name, func(t *testing.T) {
			got := fmt.Sprintf("%x\n%x\n", s.rec.Key, s.rec.Value)
			file := filepath.Join("testdata", "wire", name+".hex")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("records on the log would not be read any more:\n got %s want %s", got, want)
			}
		})
	}
}

// parsed returns this package's schema as the library has it.
func parsed(t testing.TB, name string) *avro.Schema {
	t.Helper()
	s, ok := event.SchemaByName(name)
	if !ok {
		t.Fatalf("no schema %s", name)
	}
	p, err := avro.Parse(s.Text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRecordsEncodedByHandAreWhatTheLibraryWrites(t *testing.T) {
	e, d, _ := codecs(t)
	for name, s := range samples(e, d) {
		for part, b := range map[string][]byte{"key": s.rec.Key, "value": s.rec.Value} {
			schema := strings.TrimPrefix(strings.TrimPrefix(name, "first_"), "empty_") + "_" + part
			library := parsed(t, schema)
			var v any
			rest, err := library.Decode(b[5:], &v)
			if err != nil || len(rest) > 0 {
				t.Fatalf("%s: the library reads %x with %d bytes left: %v", schema, b[5:], len(rest), err)
			}
			want, err := library.AppendEncode(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			if string(b[5:]) != string(want) {
				t.Errorf("%s of %s: got %x, library %x", schema, name, b[5:], want)
			}
		}
	}
}

func TestARecordThatIsNotOneIsPoisonAndSaysWhy(t *testing.T) {
	e, d, texts := codecs(t)
	texts[90] = "no schema"
	texts[91] = `{"type":"record","name":"other","fields":[]}`
	key, value := e.AppendTurnstileKey(nil, 40900, noon), e.AppendTurnstile(nil, &entry)
	for name, rec := range map[string]event.Record{
		"no key":                        {Value: value},
		"no value":                      {Key: key},
		"a wrong first byte":            {Key: key, Value: append([]byte{7}, value[1:]...)},
		"a frame without a body":        {Key: key, Value: value[:5]},
		"a value cut short":             {Key: key, Value: value[:len(value)-1]},
		"bytes after the value":         {Key: key, Value: append(append([]byte{}, value...), 0)},
		"bytes after the key":           {Key: append(append([]byte{}, key...), 0), Value: value},
		"a string longer than it is":    {Key: key, Value: append(append([]byte{}, value[:5]...), 2, 0xfe, 0xff, 0xff, 0xff, 0x0f)},
		"a string of negative length":   {Key: key, Value: append(append([]byte{}, value[:5]...), 2, 1)},
		"a station beyond 32 bits":      {Key: key, Value: append(append([]byte{}, value[:5]...), 0xfe, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0)},
		"a number without an end":       {Key: key, Value: append(append([]byte{}, value[:5]...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		"an id whose text is no schema": {Key: key, Value: append([]byte{0, 0, 0, 0, 90}, value[5:]...)},
		"the schema of another record":  {Key: key, Value: append([]byte{0, 0, 0, 0, 91}, value[5:]...)},
		"a key of another station":      {Key: e.AppendTurnstileKey(nil, 1, noon), Value: value},
		"a value far too long":          {Key: key, Value: make([]byte, 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			var v event.Turnstile
			for range 2 { // what is remembered of the first time must not change the answer
				if err := d.Turnstile(&rec, &v); !errors.Is(err, event.ErrPoison) {
					t.Fatalf("got %v, want poison", err)
				}
			}
		})
	}
}

func TestASchemaThatIsNotKnownYetIsNotPoison(t *testing.T) {
	e, d, texts := codecs(t)
	rec := event.Record{Key: e.AppendTurnstileKey(nil, 40900, noon), Value: e.AppendTurnstile(nil, &entry)}
	copy(rec.Value[1:], []byte{0, 0, 0x30, 0x39})
	var v event.Turnstile
	err := d.Turnstile(&rec, &v)
	if !errors.Is(err, event.ErrUnknownSchema) {
		t.Fatalf("got %v, want an unknown schema", err)
	}
	s, _ := event.SchemaByName("turnstile_value")
	texts[12345] = s.Text
	if err := d.Turnstile(&rec, &v); err != nil {
		t.Fatalf("the schema is known now, but: %v", err)
	}
}

func TestRecordsOfAnOlderAndANewerWriterAreRead(t *testing.T) {
	e, d, texts := codecs(t)
	texts[70] = `{"type":"record","name":"turnstile_value","namespace":"org.chicago.cta","fields":[
		{"name":"gate","type":"string"},{"name":"station_id","type":"int"},{"name":"line","type":"string"},{"name":"station_name","type":"string"}]}`
	newer, err := avro.Parse(texts[70])
	if err != nil {
		t.Fatal(err)
	}
	value, err := newer.AppendEncode(event.AppendFrame(nil, 70), map[string]any{"gate": "3", "station_id": 40900, "line": "red", "station_name": "Howard"})
	if err != nil {
		t.Fatal(err)
	}
	var v event.Turnstile
	if err := d.Turnstile(&event.Record{Key: e.AppendTurnstileKey(nil, 40900, noon), Value: value}, &v); err != nil {
		t.Fatal(err)
	}
	if want := (event.Turnstile{StationID: 40900, Timestamp: noon, StationName: "Howard", Line: "red"}); v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

func TestRecordsCostNoAllocation(t *testing.T) {
	e, d, _ := codecs(t)
	s := samples(e, d)
	var (
		a  event.Arrival
		u  event.Turnstile
		tn event.Train
		l  event.LineStatus
		w  event.Window
		k  event.Clock
		v  event.Weather
	)
	buf := make([]byte, 0, 256)
	ar, tu, tr, li, wi, cl, we := s["arrival"].rec, s["turnstile"].rec, s["train"].rec, s["line"].rec, s["window"].rec, s["clock"].rec, s["weather"].rec
	for name, f := range map[string]func(){
		"decode arrival":   func() { _ = d.Arrival(&ar, &a) },
		"decode turnstile": func() { _ = d.Turnstile(&tu, &u) },
		"decode train":     func() { _ = d.Train(&tr, &tn) },
		"decode line":      func() { _ = d.Line(&li, &l) },
		"decode window":    func() { _ = d.Window(&wi, &w) },
		"decode clock":     func() { _ = d.Clock(&cl, &k) },
		"decode weather":   func() { _ = d.Weather(&we, &v) },
		"encode arrival":   func() { buf = e.AppendArrival(e.AppendArrivalKey(buf[:0], 1, noon), &a) },
		"encode train":     func() { buf = e.AppendTrain(e.AppendTrainKey(buf[:0], "RD101"), &tn) },
		"encode line":      func() { buf = e.AppendLine(e.AppendLineKey(buf[:0], "red"), &l) },
		"encode window":    func() { buf = e.AppendWindow(e.AppendWindowKey(buf[:0], 1, noon), &w) },
		"encode clock":     func() { buf = e.AppendClock(e.AppendClockKey(buf[:0]), &k) },
		"encode weather":   func() { buf = e.AppendWeather(e.AppendWeatherKey(buf[:0], noon), &v) },
		"encode turnstile": func() { buf = e.AppendTurnstile(e.AppendTurnstileKey(buf[:0], 1, noon), &u) },
	} {
		f()
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzTurnstileAgreesWithTheLibrary(f *testing.F) {
	e, d, _ := codecs(f)
	library := parsed(f, "turnstile_value")
	f.Add(e.AppendTurnstile(nil, &entry)[5:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		var v any
		rest, err := library.Decode(payload, &v)
		fields, ok := v.(map[string]any)
		if err != nil || len(rest) > 0 || !ok {
			fields = nil
		}
		station, _ := fields["station_id"].(int32)
		rec := event.Record{Key: e.AppendTurnstileKey(nil, station, 0), Value: append(event.AppendFrame(nil, 4), payload...)}
		var got event.Turnstile
		// This decoder is the stricter one: what it reads, the library reads the same.
		if d.Turnstile(&rec, &got) == nil && (fields == nil || got.StationName != fields["station_name"] || got.Line != fields["line"]) {
			t.Fatalf("library %v (%v), here %+v", fields, err, got)
		}
	})
}

func FuzzDecodingNeverPanics(f *testing.F) {
	e, d, _ := codecs(f)
	for _, s := range samples(e, d) {
		f.Add(s.rec.Key, s.rec.Value)
	}
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		rec := event.Record{Key: key, Value: value}
		_ = d.Arrival(&rec, new(event.Arrival))
		_ = d.Turnstile(&rec, new(event.Turnstile))
		_ = d.Weather(&rec, new(event.Weather))
		_ = d.Train(&rec, new(event.Train))
		_ = d.Line(&rec, new(event.LineStatus))
		_ = d.Window(&rec, new(event.Window))
		_ = d.Clock(&rec, new(event.Clock))
		_ = d.Command(&rec, new(event.Command))
	})
}

// What either encoder writes, either decoder reads, and the same.
func FuzzArrivalAgreesWithTheLibrary(f *testing.F) {
	e, d, _ := codecs(f)
	library := parsed(f, "arrival_value")
	f.Add(int32(40900), "RD101", "b", "red", event.InService, int32(41190), "a", int64(noon))
	f.Add(int32(-1), "", "", "", "", int32(0), "", int64(-1))
	f.Fuzz(func(t *testing.T, station int32, train, dir, line, status string, prev int32, prevDir string, ts int64) {
		for _, s := range []string{train, dir, line, status, prevDir} {
			if !utf8.ValidString(s) || len(s) > 4<<10 {
				return
			}
		}
		a := event.Arrival{StationID: station, Timestamp: ts, TrainID: train, Direction: dir, Line: line, TrainStatus: status, PrevStationID: prev, PrevDirection: prevDir}
		fields := map[string]any{"station_id": station, "train_id": train, "direction": dir, "line": line, "train_status": status, "prev_station_id": nil, "prev_direction": nil}
		if prev != 0 {
			fields["prev_station_id"] = prev
		}
		if prevDir != "" {
			fields["prev_direction"] = prevDir
		}
		theirs, err := library.AppendEncode(nil, fields)
		if err != nil {
			t.Fatal(err)
		}
		ours := e.AppendArrival(nil, &a)
		if string(ours[5:]) != string(theirs) {
			t.Fatalf("library %x, here %x", theirs, ours[5:])
		}
		var got event.Arrival
		if err := d.Arrival(&event.Record{Key: e.AppendArrivalKey(nil, station, ts), Value: ours}, &got); err != nil || got != a {
			t.Fatalf("got %+v, %v; want %+v", got, err, a)
		}
	})
}
