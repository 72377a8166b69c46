package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"ell/internal/event"
)

// maxRow bounds the JSON of one row.
const maxRow = 64 << 10

// rowChange is one change of a database row as it stands on the log: the row
// as it is now, or that it is gone.
type rowChange struct {
	fields  row // what is known of the row; of a deleted one at least its key
	deleted bool
}

// row is a flat JSON object; values stay undecoded until asked for.
type row map[string]json.RawMessage

var errNotRow = errors.New("not a JSON object")

// readRow understands a row as Kafka Connect's JSON converter writes it, with or
// without an enclosing schema: a flat row (JDBC source; Debezium with the new
// record state extracted, where "__deleted" marks a deletion), a Debezium
// envelope, or a tombstone, whose key names the row.
func readRow(r *event.Record, keyFields ...string) (rowChange, error) {
	if len(r.Value) > maxRow || len(r.Key) > maxRow {
		return rowChange{}, poisonf("row of %d bytes", max(len(r.Value), len(r.Key)))
	}
	if len(r.Value) == 0 || isNull(r.Value) {
		key, err := readKey(r.Key, keyFields)
		if err != nil {
			return rowChange{}, poisonf("tombstone with a key that names no row: %v", err)
		}
		return rowChange{fields: key, deleted: true}, nil
	}
	fields, err := readObject(r.Value)
	if err != nil {
		return rowChange{}, poisonf("row: %v", err)
	}
	if op, ok := fields["op"]; ok && (fields["after"] != nil || fields["before"] != nil) {
		return readEnvelope(fields, op)
	}
	gone, err := fields.truth("__deleted")
	if err != nil {
		return rowChange{}, err
	}
	return rowChange{fields: fields, deleted: gone}, nil
}

func readEnvelope(fields row, op json.RawMessage) (rowChange, error) {
	side, gone := "after", string(op) == `"d"`
	if gone {
		side = "before"
	}
	inner, err := readObject(fields[side])
	if err != nil {
		return rowChange{}, poisonf("change envelope without a readable %q row: %v", side, err)
	}
	return rowChange{fields: inner, deleted: gone}, nil
}

// readObject decodes a JSON object, taking it out of {"schema":..,"payload":..}.
func readObject(b []byte) (row, error) {
	var fields row
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, err
	}
	if payload, ok := fields["payload"]; ok && fields["schema"] != nil {
		fields = nil
		if err := json.Unmarshal(payload, &fields); err != nil {
			return nil, err
		}
	}
	if fields == nil {
		return nil, errNotRow
	}
	return fields, nil
}

// readKey decodes a record key: an object, or the bare value of the one key field.
func readKey(b []byte, keyFields []string) (row, error) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 {
		return nil, errors.New("no key")
	}
	if b[0] == '{' {
		return readObject(b)
	}
	if len(keyFields) == 1 && json.Valid(b) {
		return row{keyFields[0]: json.RawMessage(b)}, nil
	}
	return nil, errNotRow
}

func isNull(b json.RawMessage) bool {
	return len(b) == 0 || string(bytes.TrimSpace(b)) == "null"
}

// id reads a whole number greater than 0. Absent and NULL give 0.
func (f row) id(name string) (int32, error) {
	n, ok, err := f.number(name)
	if err != nil || !ok {
		return 0, err
	}
	if n <= 0 {
		return 0, poisonf("column %q is %d, an id is greater than 0", name, n)
	}
	return n, nil
}

// number reads a whole number of 32 bits; ok is false for absent and NULL.
func (f row) number(name string) (n int32, ok bool, err error) {
	raw := f[name]
	if isNull(raw) {
		return 0, false, nil
	}
	text := strings.Trim(string(bytes.TrimSpace(raw)), `"`)
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		// Some sources write whole numbers as 7.0.
		x, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || x != math.Trunc(x) || math.Abs(x) > math.MaxInt32 {
			return 0, false, poisonf("column %q is %.40s, not a whole number of 32 bits", name, raw)
		}
		v = int64(x)
	}
	return int32(v), true, nil
}

// text reads a string; NULL and absent give "".
func (f row) text(name string, most int) (string, error) {
	raw := f[name]
	if isNull(raw) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", poisonf("column %q is %.40s, not text", name, raw)
	}
	if len(s) > most {
		return "", poisonf("column %q is %d bytes of text, %d is the most", name, len(s), most)
	}
	return s, nil
}

// truth reads a boolean; databases without the type have 0 and 1, Debezium
// writes "true". NULL and absent are false.
func (f row) truth(name string) (bool, error) {
	raw := f[name]
	if isNull(raw) {
		return false, nil
	}
	switch strings.ToLower(strings.Trim(string(bytes.TrimSpace(raw)), `"`)) {
	case "true", "t", "1":
		return true, nil
	case "false", "f", "0", "":
		return false, nil
	}
	return false, poisonf("column %q is %.40s, not true or false", name, raw)
}
