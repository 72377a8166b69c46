package gateway

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
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

func TestAUnionsValueGoesToTheBranchItNames(t *testing.T) {
	const (
		records = `[{"type":"record","name":"a","fields":[{"name":"x","type":"int"}]},{"type":"record","name":"b","fields":[{"name":"x","type":"int"}]}]`
		mixed   = `[{"type":"record","name":"a","fields":[{"name":"x","type":"int"}]},{"type":"map","values":"int"},"null"]`
		strings = `["string",{"type":"enum","name":"e","symbols":["A"]},"bytes"]`
		numbers = `["int","long","float","double"]`
	)
	for name, c := range map[string]struct{ schema, value, want string }{
		"the second of two like records":   {records, `{"b":{"x":1}}`, "0202"},
		"a map that could be the record":   {mixed, `{"map":{"x":1}}`, "020202780200"},
		"a map with the name of a branch":  {mixed, `{"map":{"map":1}}`, "0202066d61700200"},
		"an enum that could be the string": {strings, `{"e":"A"}`, "0200"},
		"the string that could be an enum": {strings, `{"string":"A"}`, "000241"},
		"bytes that could be the string":   {strings, `{"bytes":"A"}`, "040241"},
		"a long that could be an int":      {numbers, `{"long":1}`, "0202"},
		"a float that could be an int":     {numbers, `{"float":1}`, "040000803f"},
		"a double that could be a float":   {numbers, `{"double":1}`, "06000000000000f03f"},
	} {
		t.Run(name, func(t *testing.T) {
			codec, err := newCodec(c.schema)
			if err != nil {
				t.Fatal(err)
			}
			out, err := codec.appendJSON(nil, json.RawMessage(c.value))
			if err != nil || fmt.Sprintf("%x", out) != c.want {
				t.Errorf("%x, %v; want %s", out, err, c.want)
			}
		})
	}
}

func TestTimesArriveAsTheWholeNumbersTheyWere(t *testing.T) {
	for _, logical := range []string{"timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "none"} {
		c, err := newCodec(`{"type":"long","logicalType":"` + logical + `"}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{0, 1, -1, 1_776_000_000_123, -62_135_596_800_000, math.MaxInt64, math.MinInt64, 1<<53 + 1} {
			out, err := c.appendJSON(nil, json.RawMessage(strconv.FormatInt(n, 10)))
			if err != nil {
				t.Fatalf("%s %d: %v", logical, n, err)
			}
			if got, size := binary.Varint(out); got != n || size != len(out) {
				t.Errorf("%s %d arrives as %d", logical, n, got)
			}
		}
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
