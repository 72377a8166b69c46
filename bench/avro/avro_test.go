// Package avro_test compares Ell's own encoding and decoding of each record
// type with hamba/avro, into structs, and linkedin/goavro, into maps. It holds
// no code but tests and benchmarks.
//
//	go test -run xxx -bench . -cpu 1 ./avro
package avro_test

import (
	"reflect"
	"testing"

	hamba "github.com/hamba/avro/v2"
	"github.com/linkedin/goavro/v2"

	"ell/internal/event"
)

// frame is how long Confluent framing is. The others are spared it: they are
// given and asked for bare Avro.
const frame = 5

// subject is a record type, one sample of it, and each library's way with it.
type subject struct {
	name   string
	sample any                              // as package event has it
	rec    event.Record                     // the sample, encoded
	encode func([]byte) ([]byte, []byte)    // key and value, appended
	decode func(*event.Record) (any, error) // the value, or both where the key holds what the value does not
	keyed  bool                             // decode reads the key too
	key    func() any                       // new structs for hamba
	value  func() any
}

// codecs are the two libraries' of one subject.
type codecs struct {
	hambaKey, hambaValue hamba.Schema
	goKey, goValue       *goavro.Codec
}

func librariesOf(tb testing.TB, s *subject) (c codecs) {
	tb.Helper()
	text := func(part string) string {
		schema, ok := event.SchemaByName(s.name + "_" + part)
		if !ok {
			tb.Fatalf("no schema %s_%s", s.name, part)
		}
		return schema.Text
	}
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	// A cache of its own for each: two schemas have a record of the same name inside.
	var err error
	c.hambaKey, err = hamba.ParseWithCache(text("key"), "", &hamba.SchemaCache{})
	must(err)
	c.hambaValue, err = hamba.ParseWithCache(text("value"), "", &hamba.SchemaCache{})
	must(err)
	c.goKey, err = goavro.NewCodec(text("key"))
	must(err)
	c.goValue, err = goavro.NewCodec(text("value"))
	must(err)
	return c
}

// TestTheOthersReadAndWriteTheSame sends each sample through every pair of
// writer and reader: what is measured below is the same work.
func TestTheOthersReadAndWriteTheSame(t *testing.T) {
	for _, s := range subjects(t) {
		t.Run(s.name, func(t *testing.T) {
			c := librariesOf(t, &s)
			check := func(what string, key, value []byte, err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				rec := s.rec
				rec.Key, rec.Value = append(rec.Key[:frame:frame], key...), append(rec.Value[:frame:frame], value...)
				got, err := s.decode(&rec)
				if err != nil || !reflect.DeepEqual(got, s.sample) {
					t.Errorf("%s: read back %+v, %v; want %+v", what, got, err, s.sample)
				}
			}
			key, value := s.encode(nil)
			check("ell", key[frame:], value[frame:], nil)

			hk, hv := s.key(), s.value()
			if err := hamba.Unmarshal(c.hambaKey, key[frame:], hk); err != nil {
				t.Fatal(err)
			}
			if err := hamba.Unmarshal(c.hambaValue, value[frame:], hv); err != nil {
				t.Fatal(err)
			}
			k, err := hamba.Marshal(c.hambaKey, hk)
			if err != nil {
				t.Fatal(err)
			}
			v, err := hamba.Marshal(c.hambaValue, hv)
			check("hamba", k, v, err)

			gk, _, err := c.goKey.NativeFromBinary(key[frame:])
			if err != nil {
				t.Fatal(err)
			}
			gv, _, err := c.goValue.NativeFromBinary(value[frame:])
			if err != nil {
				t.Fatal(err)
			}
			if k, err = c.goKey.BinaryFromNative(nil, gk); err != nil {
				t.Fatal(err)
			}
			v, err = c.goValue.BinaryFromNative(nil, gv)
			check("goavro", k, v, err)
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, s := range subjects(b) {
		c := librariesOf(b, &s)
		key, value := s.encode(nil)
		b.Run(s.name+"/ell", func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			measure(b, func() error { s.encode(buf); return nil })
		})
		b.Run(s.name+"/hamba", func(b *testing.B) {
			k, v := s.key(), s.value()
			if err := hamba.Unmarshal(c.hambaKey, key[frame:], k); err != nil {
				b.Fatal(err)
			}
			if err := hamba.Unmarshal(c.hambaValue, value[frame:], v); err != nil {
				b.Fatal(err)
			}
			measure(b, func() error {
				if _, err := hamba.Marshal(c.hambaKey, k); err != nil {
					return err
				}
				_, err := hamba.Marshal(c.hambaValue, v)
				return err
			})
		})
		b.Run(s.name+"/goavro", func(b *testing.B) {
			k, _, err := c.goKey.NativeFromBinary(key[frame:])
			if err != nil {
				b.Fatal(err)
			}
			v, _, err := c.goValue.NativeFromBinary(value[frame:])
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, 0, 1024)
			measure(b, func() error {
				out, err := c.goKey.BinaryFromNative(buf, k)
				if err != nil {
					return err
				}
				_, err = c.goValue.BinaryFromNative(out, v)
				return err
			})
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range subjects(b) {
		c := librariesOf(b, &s)
		b.Run(s.name+"/ell", func(b *testing.B) {
			measure(b, func() error {
				_, err := s.decode(&s.rec)
				return err
			})
		})
		b.Run(s.name+"/hamba", func(b *testing.B) {
			k, v := s.key(), s.value() // used again, as the fastest way is
			measure(b, func() error {
				if s.keyed {
					if err := hamba.Unmarshal(c.hambaKey, s.rec.Key[frame:], k); err != nil {
						return err
					}
				}
				return hamba.Unmarshal(c.hambaValue, s.rec.Value[frame:], v)
			})
		})
		b.Run(s.name+"/goavro", func(b *testing.B) {
			measure(b, func() error {
				if s.keyed {
					if _, _, err := c.goKey.NativeFromBinary(s.rec.Key[frame:]); err != nil {
						return err
					}
				}
				_, _, err := c.goValue.NativeFromBinary(s.rec.Value[frame:])
				return err
			})
		})
	}
}

func measure(b *testing.B, f func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}
