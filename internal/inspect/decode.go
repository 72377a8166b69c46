package inspect

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/web"
)

// maxShown is how much of a text or of binary is shown, in bytes.
const maxShown = 16 << 10

// decoder makes records readable; one goroutine at a time.
type decoder struct {
	schemas Schemas
	parsed  map[int]*parsed
}

// parsed is a schema, or why there is none.
type parsed struct {
	schema *avro.Schema
	name   string
	err    error
}

func (d *decoder) record(r *kgo.Record) web.LogRecord {
	out := web.LogRecord{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Appended: r.Timestamp.UnixMilli(),
		Key: d.datum(r.Key), Value: d.datum(r.Value), Headers: []web.Header{},
	}
	for _, h := range r.Headers {
		key := h.Key
		if len(key) > 200 {
			key = key[:200]
		}
		out.Headers = append(out.Headers, web.Header{Key: key, Value: plain(h.Value)})
	}
	return out
}

// datum reads b as Avro if it is framed and its schema is known, else as what it looks like.
func (d *decoder) datum(b []byte) web.Datum {
	id, body, err := event.Unframe(b)
	if err != nil {
		return plain(b)
	}
	p := d.schema(id)
	out := web.Datum{Format: "avro", SchemaID: id, Schema: p.name, Size: len(b)}
	if p.err != nil {
		out = plain(b)
		out.SchemaID, out.Error = id, p.err.Error()
		return out
	}
	text, err := asJSON(p.schema, body)
	if err != nil {
		out = plain(b)
		out.SchemaID, out.Schema, out.Error = id, p.name, err.Error()
		return out
	}
	out.JSON = text
	return out
}

func asJSON(s *avro.Schema, body []byte) (json.RawMessage, error) {
	var v any
	rest, err := s.Decode(body, &v)
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("decode: %d bytes remain", len(rest))
	}
	text, err := s.EncodeJSON(v)
	if err != nil {
		return nil, fmt.Errorf("write as JSON: %w", err)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("write as JSON: a value has no JSON form")
	}
	return text, nil
}

func (d *decoder) schema(id int) *parsed {
	if p := d.parsed[id]; p != nil {
		return p
	}
	p := &parsed{}
	d.parsed[id] = p
	text, err := d.schemas.Schema(id)
	if err != nil {
		p.err = fmt.Errorf("schema %d is not to be had: %w", id, err)
		return p
	}
	if p.schema, err = avro.Parse(text); err != nil {
		p.err = fmt.Errorf("schema %d cannot be read: %w", id, err)
		return p
	}
	root := p.schema.Root()
	p.name = root.Name
	return p
}

// plain shows bytes as JSON, text or base64.
func plain(b []byte) web.Datum {
	out := web.Datum{Size: len(b)}
	shown := b
	if len(shown) > maxShown {
		shown, out.Cut = shown[:maxShown], true
	}
	switch {
	case b == nil:
		out.Format = "null"
	case !out.Cut && json.Valid(b):
		out.Format, out.JSON = "json", json.RawMessage(b)
	case readable(b):
		for !utf8.Valid(shown) { // cut inside a character
			shown = shown[:len(shown)-1]
		}
		out.Format, out.Text = "text", string(shown)
	default:
		out.Format, out.Text = "binary", base64.StdEncoding.EncodeToString(shown)
	}
	return out
}

func readable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return false
		}
	}
	return true
}
