package process

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/event"
)

// Rows as connectors write them. JDBC with schemas is what JsonConverter makes
// of a row of Confluent's JDBC source: each column's type, whether it may be
// NULL, and the table as the struct's name.
const (
	jdbcStop = `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"stop_id"},{"type":"string","optional":true,"field":"direction_id"},` +
		`{"type":"string","optional":true,"field":"stop_name"},{"type":"string","optional":true,"field":"station_name"},{"type":"string","optional":true,"field":"station_descriptive_name"},` +
		`{"type":"int32","optional":true,"field":"station_id"},{"type":"int32","optional":true,"field":"order"},{"type":"boolean","optional":true,"field":"red"},` +
		`{"type":"double","optional":true,"field":"latitude"}],"optional":false,"name":"stations"},"payload":` + flatStop + `}`
	jdbcStopKey = `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"stop_id"}],"optional":false,"name":"stations"},"payload":{"stop_id":30173}}`
	jdbcLink    = `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"line"},{"type":"int32","optional":false,"field":"station_id"},` +
		`{"type":"int32","optional":true,"field":"order"}],"optional":false,"name":"station_lines"},"payload":` + flatLink + `}`
	jdbcLinkKey = `{"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"line"},{"type":"int32","optional":false,"field":"station_id"}],` +
		`"optional":false,"name":"station_lines"},"payload":{"line":"red","station_id":40900}}`
	flatStop = `{"stop_id":30173,"direction_id":"N","stop_name":"Howard (NB)","station_name":"Howard","station_descriptive_name":null,"station_id":40900,"order":0,"red":true,"latitude":42.019063}`
	flatLink = `{"line":"red","station_id":40900,"order":5}`
	stopKey  = `{"stop_id":30173}`
	linkKey0 = `{"line":"red","station_id":40900}`
	envelope = `{"before":null,"after":` + flatStop + `,"source":{"connector":"postgresql","table":"stations"},"op":"r","ts_ms":1795567647000}`
)

func TestRowsOfEveryConnectorGiveTheSameTable(t *testing.T) {
	for name, in := range map[string][]*event.Record{
		"Debezium, the new state extracted": {s(stopKey, flatStop), l(linkKey0, flatLink)},
		"Debezium, envelopes":               {s(stopKey, envelope), l(linkKey0, flatLink)},
		"JDBC without schemas":              {s(stopKey, flatStop), l(linkKey0, flatLink)},
		"JDBC with schemas":                 {s(jdbcStopKey, jdbcStop), l(jdbcLinkKey, jdbcLink)},
		"JDBC, the key extracted":           {s("30173", flatStop), l(linkKey0, flatLink)},
		"JDBC without ValueToKey":           {s("", flatStop), l("", flatLink)},
		"JDBC with the row's own id":        {s(stopKey, flatStop), l(linkKey0, `{"id":12,"line":"red","station_id":40900,"order":5}`)},
	} {
		t.Run(name, func(t *testing.T) {
			red, out := NewStations(testNames), &recorder{}
			for _, r := range in {
				mustProcess(t, red, r, out)
			}
			out.end(t, red, true)
			if d := cmp.Diff(map[string]string{"red/40900": row5}, out.table(testNames.StationsTable())); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTombstonesWithAndWithoutSchemasDelete(t *testing.T) {
	for name, gone := range map[string]*event.Record{
		"the link's, without": l(linkKey0, ""),
		"the link's, with":    l(jdbcLinkKey, ""),
		"the stop's, without": s(stopKey, ""),
		"the stop's, with":    s(jdbcStopKey, ""),
	} {
		t.Run(name, func(t *testing.T) {
			red, out := NewStations(testNames), &recorder{}
			for _, r := range []*event.Record{s(stopKey, flatStop), l(linkKey0, flatLink), gone} {
				mustProcess(t, red, r, out)
			}
			out.end(t, red, true)
			if d := cmp.Diff(map[string]string{}, out.table(testNames.StationsTable())); d != "" {
				t.Error(d)
			}
		})
	}
}
