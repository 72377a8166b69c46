package process

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestAReplayOfTheYellowLineIsAsItWas runs half an hour of the real city's
// smallest line through the stage, and compares every output of that line.
func TestAReplayOfTheYellowLineIsAsItWas(t *testing.T) {
	dec, enc := newCodec(t)
	rail := NewRail(dec, enc, testNames, mustMap(t))
	var text strings.Builder
	last := weekday(7, 30)
	for i, a := range cityArrivals(t, "light", 30, "yellow") {
		out := &recorder{}
		r := arrivalRecord(enc, testNames.Arrivals(a.StationID, "x"), &a)
		r.Offset = int64(i)
		mustProcess(t, rail, r, out)
		for ; last+60_000 < a.Timestamp; last += 60_000 {
			mustProcess(t, rail, clockRecord(enc, testNames.Clock(), event.Clock{CityTime: last + 60_000, Speed: 1, Incidents: "light"}), out)
		}
		fmt.Fprintf(&text, "# %s at %d%s, %d ms\n", a.TrainID, a.StationID, a.Direction, a.Timestamp)
		out.end(t, rail, true)
		for _, o := range out.log {
			if o.topic != testNames.Lines() || bytes.HasSuffix(o.key, []byte("yellow")) {
				writeOutput(t, &text, dec, o)
			}
		}
	}
	golden(t, "yellow.txt", text.String())
}

// writeOutput writes an output so that a person can read it.
func writeOutput(t *testing.T, w *strings.Builder, dec *event.Decoder, o output) {
	t.Helper()
	r := event.Record{Topic: o.topic, Key: o.key, Value: o.value}
	switch {
	case o.state:
	case o.value == nil:
		fmt.Fprintf(w, "gone %q\n", o.key)
	case o.topic == testNames.Trains():
		var tr event.Train
		if err := dec.Train(&r, &tr); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "train %s\n", mustJSON(t, tr))
	case o.topic == testNames.Lines():
		var l event.LineStatus
		if err := dec.Line(&r, &l); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "line %s\n", mustJSON(t, l))
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./internal/process -update writes it)", err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}
