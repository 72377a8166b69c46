package connect

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/kafka"
)

// rows is a table as records: keys in order, values by key.
type rows struct {
	keys   []string
	values map[string][]byte
}

// querier is a connection to a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// read reads the table whole, within timeout. Rows that cannot be sent go to refuse.
func (t Table) read(ctx context.Context, q querier, timeout time.Duration, refuse func(t Table, key []byte, why error)) (rows, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := rows{values: make(map[string][]byte)}
	fail := func(err error) (rows, error) {
		return rows{}, fmt.Errorf("read table %s: %w: %w", t.Name, errDatabase, err)
	}
	result, err := q.QueryContext(ctx, t.query())
	if err != nil {
		return fail(err)
	}
	defer result.Close()
	row := make([]any, len(t.Columns))
	into := make([]any, len(t.Columns))
	for i := range row {
		into[i] = &row[i]
	}
	for result.Next() {
		if err := result.Scan(into...); err != nil {
			return fail(err)
		}
		key, value, err := t.encode(row)
		if err == nil && len(value) > maxRow {
			err = fmt.Errorf("%d bytes are more than a row may have (%d)", len(value), maxRow)
		}
		if err != nil {
			refuse(t, key, err)
			continue
		}
		if len(out.keys) == maxRows {
			return fail(fmt.Errorf("more than %d rows", maxRows))
		}
		out.keys = append(out.keys, string(key))
		out.values[string(key)] = value
	}
	if err := result.Err(); err != nil {
		return fail(err)
	}
	return out, nil
}

// contents is what a topic holds: the last value of each key.
type contents map[string][]byte

func readTopic(ctx context.Context, cfg kafka.Config, topic string) (contents, error) {
	table, err := kafka.ReadTable(ctx, cfg, topic, 0)
	if err != nil {
		return nil, err
	}
	out := make(contents, len(table))
	for key, r := range table {
		out[key] = r.Value
	}
	return out, nil
}

// difference returns the records that make a topic holding sent hold now.
func difference(topic string, now rows, sent contents) []*kgo.Record {
	var out []*kgo.Record
	for _, key := range now.keys {
		value := now.values[key]
		if old, ok := sent[key]; !ok || !sameRow(old, value) {
			out = append(out, &kgo.Record{Topic: topic, Key: []byte(key), Value: value})
		}
	}
	var gone []string
	for key := range sent {
		if _, ok := now.values[key]; !ok {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	for _, key := range gone {
		out = append(out, &kgo.Record{Topic: topic, Key: []byte(key)})
	}
	return out
}

// sameRow says whether two values say the same, however they are written:
// Connect's JSON escapes other letters than Go's.
func sameRow(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
