package process

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/cta"
	"ell/internal/event"
)

// row records; s is of the table stations, l of station_lines.
func s(key, value string) *event.Record { return rowRecord(testNames.Stations(), key, value) }
func l(key, value string) *event.Record { return rowRecord(testNames.StationLines(), key, value) }

func rowRecord(topic, key, value string) *event.Record {
	r := &event.Record{Topic: topic}
	if key != "" {
		r.Key = []byte(key)
	}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

const (
	howard1 = `{"stop_id":30173,"direction_id":"N","stop_name":"Howard (NB)","station_name":"Howard","station_descriptive_name":"Howard (Red, Purple & Yellow lines)","station_id":40900,"order":0,"red":true,"blue":false,"green":false}`
	howard2 = `{"stop_id":30174,"station_name":"Howard","station_id":40900,"order":null,"red":true}`
	redLink = `{"id":1,"line":"red","station_id":40900,"order":5}`
	row5    = `{"station_id":40900,"station_name":"Howard","order":5,"line":"red"}`
)

func TestStations(t *testing.T) {
	cases := []struct {
		name string
		in   []*event.Record
		want map[string]string
	}{
		{"a link and a stop make a row", []*event.Record{s("", howard1), l("", redLink)}, map[string]string{"red/40900": row5}},
		{"the order of the two tables does not matter", []*event.Record{l("", redLink), s("", howard1)}, map[string]string{"red/40900": row5}},
		{"a link alone makes no row", []*event.Record{l("", redLink)}, map[string]string{}},
		{
			"stations alone are placed by their flags, as in the original assignment",
			[]*event.Record{s("", howard1)},
			map[string]string{"red/40900": `{"station_id":40900,"station_name":"Howard","order":0,"line":"red"}`},
		},
		{"a flagged stop without an order is nowhere", []*event.Record{s("", howard2)}, map[string]string{}},
		{"two stops of a station make one row", []*event.Record{s("", howard1), s("", howard2), l("", redLink)}, map[string]string{"red/40900": row5}},
		{
			"a station on two lines has two rows",
			[]*event.Record{s("", howard1), l("", redLink), l("", `{"id":2,"line":"yellow","station_id":40900,"order":3}`)},
			map[string]string{"red/40900": row5, "yellow/40900": `{"station_id":40900,"station_name":"Howard","order":3,"line":"yellow"}`},
		},
		{
			"a renamed station has its new name",
			[]*event.Record{l("", redLink), s("", howard1), s("", howard2), s("", strings.ReplaceAll(howard1, `"Howard"`, `"Jarvis"`))},
			map[string]string{"red/40900": strings.ReplaceAll(row5, "Howard", "Jarvis")},
		},
		{
			"when the newest name goes, the one before it counts again",
			[]*event.Record{l("", redLink), s("", howard1), s("", strings.ReplaceAll(howard2, "Howard", "Jarvis")), s(`{"stop_id":30174}`, "")},
			map[string]string{"red/40900": row5},
		},
		{"a moved link leaves no row behind", []*event.Record{s("", howard1), l("", redLink), l("", `{"id":1,"line":"blue","station_id":40900,"order":5}`)}, map[string]string{"blue/40900": strings.ReplaceAll(row5, `"red"`, `"blue"`)}},
		{"a stop that moves to another station takes its name there", []*event.Record{s("", howard1), l("", redLink), s("", strings.ReplaceAll(howard1, "40900", "41190"))}, map[string]string{"red/41190": `{"station_id":41190,"station_name":"Howard","order":0,"line":"red"}`}},
		{"a tombstone of the link deletes the row", []*event.Record{s("", howard1), l("", redLink), l(`{"id":1}`, "")}, map[string]string{}},
		{"a tombstone keyed by line and station deletes it too", []*event.Record{s("", howard1), l("", redLink), l(`{"line":"red","station_id":40900}`, "")}, map[string]string{}},
		{"a tombstone with a bare key deletes it too", []*event.Record{s("", howard1), l("", redLink), l(`1`, "null")}, map[string]string{}},
		{"deleting one stop of two leaves the station", []*event.Record{s("", howard1), s("", howard2), l("", redLink), s(`{"stop_id":30174}`, "")}, map[string]string{"red/40900": row5}},
		{"deleting all stops deletes the station", []*event.Record{s("", howard1), l("", redLink), s(`30173`, "")}, map[string]string{}},
		{"a deletion of what never was is nothing", []*event.Record{s(`30173`, ""), l(`1`, ""), l(`{"line":"red","station_id":40900}`, "")}, map[string]string{}},
		{"a row that came back is there again", []*event.Record{s("", howard1), l("", redLink), l(`1`, ""), l("", redLink)}, map[string]string{"red/40900": row5}},
		{"Debezium's deleted mark deletes", []*event.Record{s("", howard1), l("", redLink), l("", `{"id":1,"line":"red","station_id":40900,"order":5,"__deleted":"true"}`)}, map[string]string{}},
		{"Debezium's other mark does not", []*event.Record{s("", howard1), l("", strings.Replace(redLink, "{", `{"__deleted":"false",`, 1))}, map[string]string{"red/40900": row5}},
		{"a change envelope is opened", []*event.Record{s("", `{"op":"c","before":null,"after":`+howard1+`}`), l("", `{"op":"u","before":{},"after":`+redLink+`}`)}, map[string]string{"red/40900": row5}},
		{"a change envelope can delete", []*event.Record{s("", howard1), l("", redLink), l("", `{"op":"d","after":null,"before":`+redLink+`}`)}, map[string]string{}},
		{"a row with its schema is taken out of it", []*event.Record{s("", `{"schema":{"type":"struct"},"payload":`+howard1+`}`), l(`{"schema":{},"payload":{"id":1}}`, `{"schema":{},"payload":`+redLink+`}`)}, map[string]string{"red/40900": row5}},
		{"numbers for true and false are understood", []*event.Record{s("", `{"stop_id":1,"station_id":2,"station_name":"X","order":7,"red":1,"blue":0}`)}, map[string]string{"red/2": `{"station_id":2,"station_name":"X","order":7,"line":"red"}`}},
		{
			"hostile text stays text",
			[]*event.Record{s("", `{"stop_id":1,"station_id":2,"station_name":"</script><img src=x onerror=alert(1)>\u2028\n\u202e","order":7}`), l("", `{"id":1,"line":"a/b\"c","station_id":2,"order":1}`)},
			map[string]string{`a/b"c/2`: `{"station_id":2,"station_name":"\u003c/script\u003e\u003cimg src=x onerror=alert(1)\u003e\u2028\n` + "\u202e" + `","order":1,"line":"a/b\"c"}`},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, every := range []int{1, 1000} { // rows a transaction
				red := NewStations(testNames)
				out := &recorder{}
				for i, r := range c.in {
					mustProcess(t, red, r, out)
					if (i+1)%every == 0 {
						out.end(t, red, true)
					}
				}
				out.end(t, red, true)
				if d := cmp.Diff(c.want, out.table(testNames.StationsTable())); d != "" {
					t.Errorf("%d a transaction: %s", every, d)
				}
			}
		})
	}
}

func TestStationsRefuseRowsThatMakeNoSense(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	cases := map[string]*event.Record{
		"no JSON":                        s("", "hello"),
		"an array":                       s("", "[1,2]"),
		"no stop id":                     s("", `{"station_id":1,"station_name":"X"}`),
		"a stop id of text":              s("", `{"stop_id":"abc","station_id":1,"station_name":"X"}`),
		"a stop id of 64 bits":           s("", `{"stop_id":99999999999,"station_id":1,"station_name":"X"}`),
		"a stop id that is no integer":   s("", `{"stop_id":1.5,"station_id":1,"station_name":"X"}`),
		"a station id of NULL":           s("", `{"stop_id":1,"station_id":null,"station_name":"X"}`),
		"a station name of NULL":         s("", `{"stop_id":1,"station_id":1,"station_name":null}`),
		"a station name of blanks":       s("", `{"stop_id":1,"station_id":1,"station_name":"  "}`),
		"a station name that is a list":  s("", `{"stop_id":1,"station_id":1,"station_name":["X"]}`),
		"a very long station name":       s("", `{"stop_id":1,"station_id":1,"station_name":"`+long+`"}`),
		"a colour that is neither":       s("", `{"stop_id":1,"station_id":1,"station_name":"X","red":"maybe"}`),
		"an order that is text":          s("", `{"stop_id":1,"station_id":1,"station_name":"X","order":"first"}`),
		"a negative id":                  s("", `{"stop_id":-1,"station_id":1,"station_name":"X"}`),
		"a link without a line":          l("", `{"id":1,"line":null,"station_id":1,"order":1}`),
		"a link without a station":       l("", `{"id":1,"line":"red","station_id":null,"order":1}`),
		"a link without an order":        l("", `{"id":1,"line":"red","station_id":1,"order":null}`),
		"a link of a very long line":     l("", `{"id":1,"line":"`+long+`","station_id":1,"order":1}`),
		"a tombstone without a key":      s("", ""),
		"a tombstone with a broken key":  s(`{"stop`, ""),
		"a tombstone of another key":     s(`{"other":1}`, ""),
		"an envelope with nothing in it": s("", `{"op":"u","before":{},"after":null}`),
		"a row of a megabyte":            s("", `{"stop_id":1,"x":"`+strings.Repeat("y", 1<<20)+`"}`),
	}
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			red := NewStations(testNames)
			out := &recorder{}
			mustProcess(t, red, s("", howard1), out)
			out.end(t, red, true)
			n := len(out.log)
			if err := red.Process(r, out); !errors.Is(err, event.ErrPoison) {
				t.Errorf("error %v, want poison", err)
			}
			out.end(t, red, true)
			if len(out.log) != n {
				t.Errorf("it left %v behind", out.log[n:])
			}
		})
	}
}

// TestTheWholeNetworkComesThrough feeds the real tables.
func TestTheWholeNetworkComesThrough(t *testing.T) {
	net := cta.Chicago()
	red := NewStations(testNames)
	out := &recorder{}
	for i, r := range net.StopRows() {
		v := mustJSON(t, map[string]any{
			"stop_id": r.StopID, "station_id": r.StationID, "station_name": r.StationName, "order": r.Order, "red": r.Red, "green": r.Green,
		})
		mustProcess(t, red, s("", v), out)
		if i%50 == 0 {
			out.end(t, red, true)
		}
	}
	for i, r := range net.StationLineRows() {
		v := mustJSON(t, map[string]any{"id": i + 1, "line": r.Line, "station_id": r.StationID, "order": r.Order})
		mustProcess(t, red, l("", v), out)
		if i%50 == 0 {
			out.end(t, red, true)
		}
	}
	out.end(t, red, true)
	got := out.table(testNames.StationsTable())
	if len(got) != len(net.StationLineRows()) {
		t.Errorf("%d rows, want %d", len(got), len(net.StationLineRows()))
	}
	for _, r := range net.StationLineRows() {
		k := linkKey{r.Line, r.StationID}
		var row event.StationOnLine
		if err := json.Unmarshal([]byte(got[string(red.rowKey(k))]), &row); err != nil {
			t.Fatal(err)
		}
		want := event.StationOnLine{StationID: r.StationID, StationName: net.Station(r.StationID).Name, Order: r.Order, Line: r.Line}
		if d := cmp.Diff(want, row); d != "" {
			t.Error(d)
		}
	}
}
