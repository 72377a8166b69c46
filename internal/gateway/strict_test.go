package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const wide = `{"type":"record","name":"r","namespace":"x.y","fields":[
	{"name":"i","type":"int"},
	{"name":"f","type":"float","default":1},
	{"name":"u","type":["null","string",{"type":"enum","name":"e","symbols":["A","B"]}],"default":null},
	{"name":"l","type":{"type":"array","items":{"type":"record","name":"in","fields":[{"name":"b","type":"boolean"}]}}},
	{"name":"m","type":{"type":"map","values":"in"}},
	{"name":"d","type":"double"},
	{"name":"next","type":["null","r"]}]}`

// with is a sound record with one field set, or left out where the text is empty.
func with(field, text string) string {
	fields := []struct{ name, text string }{
		{"i", "1"}, {"f", "1.5"}, {"u", "null"}, {"l", `[{"b":true}]`}, {"m", `{"k":{"b":false}}`}, {"d", "2"}, {"next", "null"},
	}
	var parts []string
	found := false
	for _, f := range fields {
		if f.name == field {
			f.text, found = text, true
		}
		if f.text != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", f.name, f.text))
		}
	}
	if !found {
		parts = append(parts, fmt.Sprintf("%q:%s", field, text))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestAvrosJSONEncodingIsReadByTheLetter(t *testing.T) {
	c, err := newCodec(wide)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]struct{ field, text, fault string }{
		"all as it should be":              {"i", "1", ""},
		"a tagged string":                  {"u", `{"string":"x"}`, ""},
		"a tagged enum by its full name":   {"u", `{"x.y.e":"B"}`, ""},
		"a record that refers to itself":   {"next", `{"x.y.r":` + with("i", "2") + `}`, ""},
		"the three floats without a form":  {"f", `"NaN"`, ""},
		"the largest float":                {"f", `3.4028234e38`, ""},
		"a field that nobody knows":        {"extra", "1", `no field "extra"`},
		"a missing field":                  {"i", "", "field i of r is missing"},
		"a missing field with a default":   {"f", "", "field f of r is missing"},
		"null for a float":                 {"f", "null", ".f: null where"},
		"a float out of range":             {"f", "1e39", "out of range"},
		"a double out of range":            {"d", "1e400", "out of range"},
		"a string for a number":            {"i", `"1"`, ".i: a string where"},
		"a fraction for an integer":        {"i", "1.5", "whole number"},
		"an integer beyond 32 bits":        {"i", "3000000000", "overflows"},
		"a union without its tag":          {"u", `"x"`, `.u: a string where`},
		"a union with two tags":            {"u", `{"string":"x","x.y.e":"A"}`, ".u: an object where"},
		"a branch that is none":            {"u", `{"int":1}`, `"int" is no branch`},
		"null in a tag":                    {"u", `{"null":null}`, `"null" is no branch`},
		"a symbol that is none":            {"u", `{"x.y.e":"C"}`, "symbol"},
		"an object for an array":           {"l", `{}`, ".l: an object where"},
		"a fault inside of an array":       {"l", `[{"b":true},{"b":1}]`, ".l[1].b: a number where"},
		"a fault inside of a map":          {"m", `{"k":{"b":null}}`, `.m["k"].b: null where`},
		"an unknown field deep inside":     {"next", `{"x.y.r":` + with("extra", "2") + `}`, `.next.x.y.r: r has no field "extra"`},
		"an unknown field of a named type": {"m", `{"k":{"b":true,"c":1}}`, `.m["k"]: in has no field "c"`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := c.appendJSON(nil, json.RawMessage(with(k.field, k.text)))
			switch {
			case k.fault == "" && err != nil:
				t.Fatal(err)
			case k.fault == "" && len(out) == 0:
				t.Error("nothing was written")
			case k.fault != "" && (err == nil || !strings.Contains(err.Error(), k.fault)):
				t.Errorf("got %x, %v; want an error with %q", out, err, k.fault)
			}
		})
	}
}

// What is taken is whole: it reads back from Avro's binary encoding.
func FuzzAvroJSON(f *testing.F) {
	f.Add(wide, with("u", `{"string":"x"}`))
	f.Add(wide, with("next", `{"x.y.r":`+with("i", "2")+`}`))
	f.Add(`["null","int"]`, `{"int":3}`)
	f.Add(`{"type":"map","values":"bytes"}`, `{"a":"\u00ff"}`)
	f.Fuzz(func(t *testing.T, schema, value string) {
		c, err := newCodec(schema)
		if err != nil {
			return
		}
		out, err := c.appendJSON(nil, json.RawMessage(value))
		if err != nil {
			return
		}
		var v any
		if rest, err := c.schema.Decode(out, &v); err != nil || len(rest) > 0 {
			t.Fatalf("%s as %s gives %x, which does not read back (%d bytes left): %v", value, schema, out, len(rest), err)
		}
	})
}
