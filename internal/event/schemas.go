package event

import (
	"embed"
	"fmt"
	"sync"

	"github.com/twmb/avro"
)

//go:embed schemas/*.avsc
var schemaFiles embed.FS

// Namespace is the Avro namespace of every record schema, and so the prefix of
// the subjects that go by record name.
const Namespace = "org.chicago.cta"

// ID is a schema id as a registry gives it.
type ID = int

// IDs maps the name of a schema ("arrival_key") to the id the registry gave it.
type IDs map[string]ID

// Schema is one record schema of the log.
type Schema struct {
	Name    string // "arrival_key"
	Subject string // where it is registered, under the default topic names
	Text    string // Avro, JSON
}

// Resolver finds the schema a record was written with.
//
// The error is ErrUnknownSchema (by errors.Is) when the registry is sure that
// it has no such id; any other error says that the registry could not be
// asked, and the record may be good.
type Resolver interface {
	Schema(id ID) (text string, err error)
}

// kind numbers the schemas.
type kind uint8

const (
	arrivalKey kind = iota
	arrivalValue
	turnstileKey
	turnstileValue
	weatherKey
	weatherValue
	trainKey
	trainValue
	lineKey
	lineValue
	windowKey
	windowValue
	clockKey
	clockValue
	commandKey
	commandValue
	kinds
)

// kindNames are the schemas' names and, with ".avsc" behind, their files.
var kindNames = [kinds]string{
	"arrival_key", "arrival_value", "turnstile_key", "turnstile_value",
	"weather_key", "weather_value", "train_key", "train_value",
	"line_key", "line_value", "window_key", "window_value",
	"clock_key", "clock_value", "command_key", "command_value",
}

func (k kind) String() string { return kindNames[k] }

// own is a schema of this package, parsed.
type own struct {
	schema    *avro.Schema
	canonical string
}

// owned parses the embedded schemas once. They are part of the program and
// tested, so that a fault in one is a fault of the build.
var owned = sync.OnceValue(func() *[kinds]own {
	var out [kinds]own
	for k := range kinds {
		s := avro.MustParse(schemaText(k))
		out[k] = own{schema: s, canonical: string(s.Canonical())}
	}
	return &out
})

func schemaText(k kind) string {
	text, err := schemaFiles.ReadFile("schemas/" + k.String() + ".avsc")
	if err != nil {
		panic(fmt.Sprintf("embedded schema %s: %v", k, err)) // impossible: the build embeds it
	}
	return string(text)
}

// Schemas returns the schema of every record of the log, always in the same
// order. Subjects are those of the default topic names; see [Names.Schemas].
func Schemas() []Schema { return Names{Prefix: DefaultPrefix}.Schemas() }

// SchemaByName returns the schema called name, as "arrival_key".
func SchemaByName(name string) (Schema, bool) {
	for k := range kinds {
		if k.String() == name {
			return Names{Prefix: DefaultPrefix}.schema(k), true
		}
	}
	return Schema{}, false
}

// Schemas is like the function [Schemas], with the subjects that belong to
// these topic names. Records that go to many topics have one subject, named by
// the record ("org.chicago.cta.arrival_value"); the weather's subjects are named by
// its topic, since there it is the REST Proxy that registers.
func (n Names) Schemas() []Schema {
	out := make([]Schema, 0, kinds)
	for k := range kinds {
		out = append(out, n.schema(k))
	}
	return out
}

func (n Names) schema(k kind) Schema {
	s := Schema{Name: k.String(), Subject: Namespace + "." + k.String(), Text: schemaText(k)}
	switch k {
	case weatherKey:
		s.Subject = n.Weather() + "-key"
	case weatherValue:
		s.Subject = n.Weather() + "-value"
	}
	return s
}
