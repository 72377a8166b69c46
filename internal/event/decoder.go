package event

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/avro"
)

// Decoder reads records. It is not safe for concurrent use: each goroutine has
// its own. Strings are copies, so that a record's bytes may be reused at once.
//
// A record written with this package's own schema is read by hand-written code;
// one written with another, compatible schema is first brought into the shape
// of ours by Avro's schema resolution. Errors name the record; those that
// say that the record itself is bad are [ErrPoison], all others come from the
// [Resolver].
//
// A Decoder checks the form of a record and not its sense: see
// [Arrival.Validate] and its like.
type Decoder struct {
	resolver Resolver
	lanes    [kinds]lane
	plans    map[planID]*plan
	words    interner
	last     last
	scratch  []byte
}

// last is what text fields held in the record before.
type last struct {
	name, turnstileLine, train, dir, line, status, prevDir, pattern string
	topic, lineStatus, reason, weather, incidents                   string
}

// lane remembers the writer of the kind's last record: it is nearly always
// the writer of the next one.
type lane struct {
	frame uint64 // the five bytes of the framing, and a bit to say that there is one
	plan  *plan
}

type planID struct {
	kind kind
	id   ID
}

// plan is how to read what one writer schema wrote as one of ours.
type plan struct {
	same     bool         // it is ours
	resolved *avro.Schema // the writer's bytes into our shape
	err      error        // it cannot be read as ours
}

// maxPlans bounds the writers a decoder remembers. Only schemas that the
// registry has get here, so that it takes a registry gone wild to reach it.
const maxPlans = 1024

// maxSchema bounds the text of a writer's schema, in bytes.
const maxSchema = 256 << 10

// NewDecoder returns a decoder that asks resolver for writer schemas.
func NewDecoder(resolver Resolver) *Decoder {
	return &Decoder{resolver: resolver, plans: make(map[planID]*plan)}
}

// body checks the framing of b and returns its content in the shape of our
// schema k. The result is valid until the next call.
func (d *Decoder) body(k kind, b []byte) ([]byte, error) {
	if len(b) >= frameSize && len(b) <= maxRecord {
		frame := uint64(binary.BigEndian.Uint32(b[1:])) | uint64(b[0])<<32 | 1<<63
		if l := &d.lanes[k]; l.frame == frame && l.plan.same {
			return b[frameSize:], nil
		}
	}
	return d.otherBody(k, b)
}

func (d *Decoder) otherBody(k kind, b []byte) ([]byte, error) {
	id, rest, err := Unframe(b)
	if err != nil {
		return nil, err
	}
	p, err := d.plan(k, id)
	if err != nil {
		return nil, err
	}
	d.lanes[k] = lane{frame: uint64(id) | 1<<63, plan: p}
	if p.err != nil {
		return nil, p.err
	}
	if p.same {
		return rest, nil
	}
	var v any
	tail, err := p.resolved.Decode(rest, &v)
	if err != nil {
		return nil, poisonf("schema id %d: %v", id, err)
	}
	if len(tail) > 0 {
		return nil, poisonf("schema id %d: %d bytes too many", id, len(tail))
	}
	if d.scratch, err = owned()[k].schema.AppendEncode(d.scratch[:0], v); err != nil {
		return nil, poisonf("schema id %d: %v", id, err)
	}
	return d.scratch, nil
}

func (d *Decoder) plan(k kind, id ID) (*plan, error) {
	at := planID{k, id}
	if p := d.plans[at]; p != nil {
		return p, nil
	}
	text, err := d.resolver.Schema(id)
	switch {
	case errors.Is(err, ErrUnknownSchema):
		return nil, fmt.Errorf("schema id %d: %w", id, err)
	case err != nil:
		return nil, fmt.Errorf("resolve schema id %d: %w", id, err)
	}
	p := newPlan(k, id, text)
	if len(d.plans) >= maxPlans {
		clear(d.plans)
	}
	d.plans[at] = p
	return p, nil
}

func newPlan(k kind, id ID, text string) *plan {
	if len(text) > maxSchema {
		return &plan{err: poisonf("schema id %d has %d bytes, over the limit of %d", id, len(text), maxSchema)}
	}
	writer, err := avro.Parse(text)
	if err != nil {
		return &plan{err: poisonf("schema id %d is not Avro: %v", id, err)}
	}
	ours := &owned()[k]
	if string(writer.Canonical()) == ours.canonical {
		return &plan{same: true}
	}
	resolved, err := avro.Resolve(writer, ours.schema)
	if err != nil {
		return &plan{err: poisonf("schema id %d cannot be read as %s: %v", id, k, err)}
	}
	return &plan{resolved: resolved}
}

// wrap names the record that an error is about.
func wrap(what string, r *Record, err error) error {
	return fmt.Errorf("decode %s at %s-%d@%d: %w", what, r.Topic, r.Partition, r.Offset, err)
}
