package event_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/avro"

	"ell/internal/event"
)

// testdata/schemas holds every schema that records on some log were written
// with, by version. A released version is never changed: a new one is added.
func TestSchemasGoWithAllTheirEarlierVersions(t *testing.T) {
	versions, err := filepath.Glob("testdata/schemas/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no earlier versions: %v", err)
	}
	slices.Sort(versions)
	newest := versions[len(versions)-1]
	for _, s := range event.Schemas() {
		t.Run(s.Name, func(t *testing.T) {
			now := parsed(t, s.Name)
			if *update {
				if err := os.WriteFile(filepath.Join(newest, s.Name+".avsc"), []byte(s.Text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for i, dir := range versions {
				text, err := os.ReadFile(filepath.Join(dir, s.Name+".avsc"))
				if errors.Is(err, os.ErrNotExist) && i < len(versions)-1 {
					continue // it came later
				}
				if err != nil {
					t.Fatalf("the schema has to be added to %s (-update): %v", dir, err)
				}
				then, err := avro.Parse(string(text))
				if err != nil {
					t.Fatal(err)
				}
				if err := avro.CheckCompatibility(then, now); err != nil {
					t.Errorf("records written by %s cannot be read any more: %v", dir, err)
				}
				if err := avro.CheckCompatibility(now, then); err != nil {
					t.Errorf("readers of %s cannot read new records: %v", dir, err)
				}
				if dir == newest && string(then.Canonical()) != string(now.Canonical()) {
					t.Errorf("the schema has changed since %s: keep that version and add the next (-update)", dir)
				}
			}
		})
	}
}

func TestSubjectsAreThoseOfTheContract(t *testing.T) {
	want := map[string]string{
		"arrival_key":   "org.chicago.cta.arrival_key",
		"arrival_value": "org.chicago.cta.arrival_value",
		"weather_key":   "org.chicago.cta.weather.v1-key",
		"weather_value": "org.chicago.cta.weather.v1-value",
	}
	for name, subject := range want {
		if s, ok := event.SchemaByName(name); !ok || s.Subject != subject {
			t.Errorf("%s has the subject %q, want %q", name, s.Subject, subject)
		}
	}
	if _, ok := event.SchemaByName("nobody"); ok {
		t.Error("a schema that is none was found")
	}
	for _, s := range (event.Names{Prefix: "x."}).Schemas() {
		if s.Name == "weather_key" && s.Subject != "x.weather.v1-key" {
			t.Errorf("another prefix gives %q", s.Subject)
		}
	}
}

func TestAnEncoderWantsAnIDForEverySchema(t *testing.T) {
	ids, _ := fixedIDs()
	delete(ids, "line_value")
	if _, err := event.NewEncoder(ids); err == nil {
		t.Error("an id is missing, and nobody says so")
	}
	ids["line_value"] = -1
	if _, err := event.NewEncoder(ids); err == nil {
		t.Error("an id is negative, and nobody says so")
	}
}

func TestNumbersThatAreNoneArePoison(t *testing.T) {
	e, d, _ := codecs(t)
	for name, v := range map[string]float64{"NaN": math.NaN(), "infinite": math.Inf(1), "minus infinite": math.Inf(-1)} {
		weather := event.Record{Key: e.AppendWeatherKey(nil, noon), Value: e.AppendWeather(nil, &event.Weather{Temperature: float32(v)})}
		clock := event.Record{Key: e.AppendClockKey(nil), Value: e.AppendClock(nil, &event.Clock{Speed: v})}
		command := event.Record{Key: e.AppendCommandKey(nil, "c"), Value: e.AppendCommand(nil, &event.Command{Speed: &v})}
		for what, err := range map[string]error{
			"weather": d.Weather(&weather, new(event.Weather)),
			"clock":   d.Clock(&clock, new(event.Clock)),
			"command": d.Command(&command, new(event.Command)),
		} {
			if !errors.Is(err, event.ErrPoison) {
				t.Errorf("%s %s: got %v", what, name, err)
			}
		}
	}
}

// Readers of records written under the contract's next versions, and the
// previous ones, for every record and not only the hot ones.
func TestEveryRecordIsReadFromAWriterWithOneMoreField(t *testing.T) {
	ids, texts := fixedIDs()
	e, err := event.NewEncoder(ids)
	if err != nil {
		t.Fatal(err)
	}
	newer := known{}
	for id, text := range texts {
		s, err := avro.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		root := s.Root()
		root.Fields = append([]avro.SchemaField{{Name: "extra", Type: avro.SchemaNode{Type: "string"}}}, root.Fields...)
		wider, err := root.Schema()
		if err != nil {
			t.Fatal(err)
		}
		newer[id] = wider.String()
	}
	d := event.NewDecoder(newer)
	plain := event.NewDecoder(texts)
	for name, s := range samples(e, d) {
		t.Run(name, func(t *testing.T) {
			more := func(b []byte) []byte { // "extra" comes first
				return append(append(append([]byte{}, b[:5]...), "\x06abc"...), b[5:]...)
			}
			wide := s.rec
			wide.Key, wide.Value = more(s.rec.Key), more(s.rec.Value)
			if _, err := s.read(&wide); err != nil {
				t.Fatal(err)
			}
			got, err := s.read(&wide)
			if err != nil {
				t.Fatal(err)
			}
			want, err := samples(e, plain)[name].read(&s.rec)
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
