// Package connect gets the station tables out of a database and into Kafka.
// It does so in two ways that leave the same records on the same topics: a
// Poller that reads the tables itself (the one-process mode, or a database
// without Kafka Connect beside it), and a Client that has a Kafka Connect
// cluster do it and keeps watch over its connector, while an Audit sends what
// that missed.
//
// It does not interpret the rows: what a station is, is known downstream.
package connect

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Table is a table to read whole and to keep a Kafka topic equal to.
type Table struct {
	Name    string
	Topic   string
	Key     []string // columns of the primary key: the record's key
	Columns []string // all columns to send, the key among them
	// Booleans are columns that some databases hold as 0 and 1 (SQLite) and
	// that are true and false on the topic.
	Booleans []string
}

// StationTables are the two tables of stations, in the order in which they
// are read, for the given topics.
func StationTables(stations, stationLines string) []Table {
	return []Table{
		{
			Name: "stations", Topic: stations, Key: []string{"stop_id"},
			Columns: []string{
				"stop_id", "direction_id", "stop_name", "station_name", "station_descriptive_name", "station_id", "order",
				"red", "blue", "green", "brown", "orange", "pink", "purple", "yellow", "latitude", "longitude", "ada",
			},
			Booleans: []string{"red", "blue", "green", "brown", "orange", "pink", "purple", "yellow", "ada"},
		},
		{
			Name: "station_lines", Topic: stationLines, Key: []string{"line", "station_id"},
			Columns: []string{"line", "station_id", "order"},
		},
	}
}

// query reads the table in the order of its key. Names are ours, not a
// user's; they are quoted because "order" is a word of SQL.
func (t Table) query() string {
	quote := func(names []string) string {
		q := make([]string, len(names))
		for i, n := range names {
			q[i] = `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
		}
		return strings.Join(q, ", ")
	}
	return "SELECT " + quote(t.Columns) + ` FROM "` + t.Name + `" ORDER BY ` + quote(t.Key)
}

// encode makes a record of a row: the key columns as one JSON object, all
// columns as another, in the order of Columns. NULL is null.
func (t Table) encode(row []any) (key, value []byte, err error) {
	var k, v object
	for i, c := range t.Columns {
		field, err := jsonValue(t.boolean(c, row[i]))
		if err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", c, err)
		}
		v.add(c, field)
	}
	for _, c := range t.Key {
		for i, name := range t.Columns {
			if name != c {
				continue
			}
			if row[i] == nil {
				return nil, nil, fmt.Errorf("key column %s is NULL", c)
			}
			field, err := jsonValue(row[i])
			if err != nil {
				return nil, nil, fmt.Errorf("column %s: %w", c, err)
			}
			k.add(c, field)
		}
	}
	return k.bytes(), v.bytes(), nil
}

// boolean turns 0 and 1 of a boolean column into what they mean.
func (t Table) boolean(column string, v any) any {
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 || !slices.Contains(t.Booleans, column) {
		return v
	}
	return n == 1
}

// object is a JSON object whose fields keep their order.
type object struct{ b []byte }

func (o *object) add(name string, value []byte) {
	if len(o.b) == 0 {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...) // column names need no escaping
	o.b = append(o.b, '"', ':')
	o.b = append(o.b, value...)
}

func (o *object) bytes() []byte {
	if len(o.b) == 0 {
		return []byte("{}")
	}
	return append(o.b, '}')
}

// jsonValue is a database value as JSON. What JSON cannot say (an infinite
// number) is null.
func jsonValue(v any) ([]byte, error) {
	switch x := v.(type) {
	case []byte: // text, in some drivers
		v = string(x)
	case float64:
		if math.IsInf(x, 0) || math.IsNaN(x) {
			v = nil
		}
	case time.Time:
		v = x.UTC().Format(time.RFC3339Nano)
	}
	return json.Marshal(v)
}
