package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/avro"
)

// codec turns JSON into Avro by one schema.
//
// The Avro library reads JSON generously: it fills missing fields from
// defaults, passes over fields it does not know, takes unions without a tag, null as
// not-a-number and what is too large as infinite. A device that relied on
// that would lose data to a misspelt field, and fail at another REST Proxy. So a
// codec looks first whether the JSON is Avro's JSON encoding by the letter.
type codec struct {
	schema *avro.Schema
	root   avro.SchemaNode
	named  map[string]*avro.SchemaNode // by full name
}

func newCodec(text string) (*codec, error) {
	s, err := avro.Parse(text)
	if err != nil {
		return nil, err
	}
	c := &codec{schema: s, root: *s.Root(), named: map[string]*avro.SchemaNode{}}
	c.collect(&c.root, "")
	return c, nil
}

// collect finds the named types, and gives the references to them, which may be
// relative to the namespace around, their full names.
func (c *codec) collect(n *avro.SchemaNode, namespace string) {
	switch n.Type {
	case "record", "error", "enum", "fixed":
		c.named[fullName(n)] = n
		namespace = n.Namespace
	default:
		if full := namespace + "." + n.Type; c.named[full] != nil {
			n.Type = full
		}
	}
	for i := range n.Fields {
		c.collect(&n.Fields[i].Type, namespace)
	}
	for i := range n.Branches {
		c.collect(&n.Branches[i], namespace)
	}
	if n.Items != nil {
		c.collect(n.Items, namespace)
	}
	if n.Values != nil {
		c.collect(n.Values, namespace)
	}
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// appendJSON appends b, which is Avro's JSON encoding of a value, in the binary encoding.
func (c *codec) appendJSON(dst []byte, b json.RawMessage) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	if err := c.check(&c.root, plain); err != nil {
		return nil, err
	}
	var v any
	// Without their tags the values of unions would go to the first branch that
	// takes their Go type, which need not be the one they name.
	if err := c.schema.DecodeJSON(b, &v, avro.TaggedUnions()); err != nil {
		return nil, err
	}
	return c.schema.AppendEncode(dst, v)
}

// check says where v is not what the letter of Avro's JSON encoding asks of a
// value of n. Ranges of integers, symbols and sizes are left to the library.
func (c *codec) check(n *avro.SchemaNode, v any) error {
	switch n.Type {
	case "null":
		if v != nil {
			return wrong(v, "null")
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong(v, "a boolean")
		}
	case "int", "long":
		if _, ok := v.(json.Number); !ok {
			return wrong(v, "an integer")
		}
	case "float":
		return checkFloat(v, math.MaxFloat32)
	case "double":
		return checkFloat(v, math.MaxFloat64)
	case "string", "bytes", "fixed", "enum":
		if _, ok := v.(string); !ok {
			return wrong(v, "a string")
		}
	case "record", "error":
		return c.checkRecord(n, v)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return wrong(v, "an array")
		}
		for i, item := range list {
			if err := c.check(n.Items, item); err != nil {
				return within(fmt.Sprintf("[%d]", i), err)
			}
		}
	case "map":
		m, ok := v.(map[string]any)
		if !ok {
			return wrong(v, "an object")
		}
		for k, item := range m {
			if err := c.check(n.Values, item); err != nil {
				return within(fmt.Sprintf("[%.60q]", k), err)
			}
		}
	case "union":
		return c.checkUnion(n, v)
	default:
		if named := c.named[n.Type]; named != nil {
			return c.check(named, v)
		}
	}
	return nil
}

func (c *codec) checkRecord(n *avro.SchemaNode, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return wrong(v, "an object")
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		item, ok := m[f.Name]
		if !ok {
			return fmt.Errorf("field %s of %s is missing; defaults are for readers and do not fill it", f.Name, n.Name)
		}
		if err := c.check(&f.Type, item); err != nil {
			return within("."+f.Name, err)
		}
	}
	if len(m) == len(n.Fields) {
		return nil
	}
	known := make(map[string]bool, len(n.Fields))
	for i := range n.Fields {
		known[n.Fields[i].Name] = true
	}
	for k := range m {
		if !known[k] {
			return fmt.Errorf("%s has no field %.60q", n.Name, k)
		}
	}
	return nil
}

func (c *codec) checkUnion(n *avro.SchemaNode, v any) error {
	m, tagged := v.(map[string]any)
	if v != nil && (!tagged || len(m) != 1) {
		return wrong(v, `null or an object with the branch as its one name, as {"string": "x"}`)
	}
	for i := range n.Branches {
		b := &n.Branches[i]
		name := b.Type
		if named := c.named[name]; named != nil {
			b = named
		}
		if b.Name != "" {
			name = fullName(b)
		}
		if v == nil {
			if name == "null" {
				return nil
			}
			continue
		}
		if item, ok := m[name]; ok && name != "null" {
			return within("."+name, c.check(b, item))
		}
	}
	if v == nil {
		return errors.New("null is no branch of the union")
	}
	for k := range m {
		return fmt.Errorf("%.60q is no branch of the union", k)
	}
	return nil
}

// checkFloat takes numbers within limit, and the three that JSON has no form for.
func checkFloat(v any, limit float64) error {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil || math.Abs(f) > limit {
			return fmt.Errorf("%.40s is out of range", v)
		}
		return nil
	case string:
		if v == "NaN" || v == "Infinity" || v == "-Infinity" {
			return nil
		}
	}
	return wrong(v, "a number")
}

func wrong(v any, want string) error {
	have := "null"
	switch v.(type) {
	case bool:
		have = "a boolean"
	case json.Number:
		have = "a number"
	case string:
		have = "a string"
	case []any:
		have = "an array"
	case map[string]any:
		have = "an object"
	}
	return fmt.Errorf("%s where the schema has %s", have, want)
}

// pathError collects the way to a fault from the inside out.
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

func within(step string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := err.(*pathError); ok { //nolint:errorlint // made here and never wrapped on the way out
		if len(p.path) < 500 {
			p.path = step + p.path
		}
		return p
	}
	return &pathError{path: step, err: err}
}
