package process

import (
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
// smallest line through forwarding and the lines, and compares every output.
func TestAReplayOfTheYellowLineIsAsItWas(t *testing.T) {
	dec, enc := newCodec(t)
	m := mustMap(t)
	forward := NewForward(dec, testNames, m)
	lines := NewLines(dec, enc, testNames, m, event.LinePartition("yellow"))
	var text strings.Builder
	offset := int64(0)
	commit := func(between *recorder) {
		between.end(t, forward, true)
		out := &recorder{}
		for _, o := range between.log {
			if o.topic == testNames.ByLine() && o.partition == event.LinePartition("yellow") {
				mustProcess(t, lines, &event.Record{Topic: o.topic, Partition: o.partition, Offset: offset, Key: o.key, Value: o.value, Headers: o.headers}, out)
				offset++
			}
		}
		out.end(t, lines, true)
		for _, o := range out.log {
			writeOutput(t, &text, dec, o)
		}
	}
	last := weekday(7, 30)
	for i, a := range cityArrivals(t, "light", 30, "yellow") {
		between := &recorder{}
		r := arrivalRecord(enc, testNames.Arrivals(a.StationID, "x"), &a)
		r.Offset = int64(i)
		mustProcess(t, forward, r, between)
		for ; last+60_000 < a.Timestamp; last += 60_000 {
			mustProcess(t, forward, clockRecord(enc, testNames.Clock(), event.Clock{CityTime: last + 60_000, Speed: 1, Incidents: "light"}), between)
		}
		fmt.Fprintf(&text, "# %s at %d%s, %d ms\n", a.TrainID, a.StationID, a.Direction, a.Timestamp)
		commit(between)
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
