package embedded_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"ell/internal/embedded"
)

// ask sends a request to the registry and returns its status and answer.
func ask(t *testing.T, s *embedded.Stack, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, 5*time.Second), method, s.RegistryURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func record(fields string) string {
	return `{"type":"record","name":"r","namespace":"n","fields":[` + fields + `]}`
}

func register(t *testing.T, s *embedded.Stack, subject, schema string) (int, string) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"schema": schema, "schemaType": "AVRO", "references": []any{}, "metadata": nil, "ruleSet": nil, "unheard_of": 1})
	if err != nil {
		t.Fatal(err)
	}
	return ask(t, s, "POST", "/subjects/"+url.PathEscape(subject)+"/versions?normalize=true", string(b))
}

const (
	fieldA         = `{"name":"a","type":"int"}`
	fieldB         = `{"name":"b","type":"int","default":0}`
	fieldBRequired = `{"name":"b","type":"int"}`
	fieldAString   = `{"name":"a","type":"string"}`
)

func TestTheRegistryKeepsIdsAndSettingsAcrossRestartsAndKills(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(dir))
	check := func(status int, answer, want string) {
		t.Helper()
		if status != http.StatusOK || answer != want {
			t.Errorf("got %d %s, want %s", status, answer, want)
		}
	}
	status, answer := register(t, s, "one", record(fieldA))
	check(status, answer, `{"id":1}`)
	status, answer = register(t, s, "two/with slash", record(fieldA+","+fieldB))
	check(status, answer, `{"id":2}`)
	status, answer = register(t, s, "one", record(fieldA+","+fieldB))
	check(status, answer, `{"id":2}`)
	status, answer = ask(t, s, "PUT", "/config/one", `{"compatibility":"NONE"}`)
	check(status, answer, `{"compatibility":"NONE"}`)
	status, answer = register(t, s, "one", record(fieldAString))
	check(status, answer, `{"id":3}`)
	status, answer = ask(t, s, "DELETE", "/subjects/one/versions/1", "")
	check(status, answer, `1`)
	for _, clean := range []bool{false, true} {
		if clean {
			closeStack(t, s)
		} else {
			dir = image(t, s)
		}
		s = open(t, options(dir))
		status, answer = ask(t, s, "GET", "/subjects/one/versions", "")
		check(status, answer, `[2,3]`)
		status, answer = ask(t, s, "GET", "/config/one", "")
		check(status, answer, `{"compatibilityLevel":"NONE"}`)
		status, answer = register(t, s, "two/with slash", record(fieldA+","+fieldB))
		check(status, answer, `{"id":2}`)
	}
	before, err := os.Stat(filepath.Join(dir, "registry.journal"))
	if err != nil {
		t.Fatal(err)
	}
	register(t, s, "one", record(fieldAString))
	if after, err := os.Stat(filepath.Join(dir, "registry.journal")); err != nil || after.Size() != before.Size() {
		t.Errorf("registering what is known grows the journal: %d to %d", before.Size(), after.Size())
	}
	status, answer = register(t, s, "three", record(fieldB))
	check(status, answer, `{"id":4}`)
}

func TestIncompatibleSchemasAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		level  string
		schema []string // registered in turn; only the last may be refused
		want   int
	}{
		"a field with a default may come":       {"", []string{record(fieldA), record(fieldA + "," + fieldB)}, 200},
		"a field without one may not":           {"", []string{record(fieldA), record(fieldA + "," + fieldBRequired)}, 409},
		"a type may not change":                 {"", []string{record(fieldA), record(fieldAString)}, 409},
		"a field without a default may not go":  {"", []string{record(fieldA + "," + fieldB), record(fieldB)}, 409},
		"all versions count, not only the last": {"", []string{record(fieldA), record(fieldA + "," + fieldB), record(fieldA + `,{"name":"b","type":"string","default":""}`)}, 409},
		"BACKWARD lets a field go":              {"BACKWARD", []string{record(fieldA + "," + fieldB), record(fieldB)}, 200},
		"FORWARD lets a field come":             {"FORWARD", []string{record(fieldA), record(fieldA + "," + fieldBRequired)}, 200},
		"FORWARD lets none go":                  {"FORWARD", []string{record(fieldA + "," + fieldB), record(fieldB)}, 409},
		"NONE lets everything":                  {"NONE", []string{record(fieldA), record(fieldAString)}, 200},
		"what is no schema is refused as such":  {"", []string{`{"type":"nope"}`}, 422},
		"JSON that ends early is refused":       {"", []string{`{"type":`}, 422},
		"an empty schema is refused":            {"", []string{``}, 422},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, options(t.TempDir()))
			if c.level != "" {
				if status, answer := ask(t, s, "PUT", "/config/x", `{"compatibility":"`+c.level+`"}`); status != 200 {
					t.Fatalf("%d %s", status, answer)
				}
			}
			for i, schema := range c.schema {
				body, err := json.Marshal(map[string]string{"schema": schema})
				if err != nil {
					t.Fatal(err)
				}
				want := 200
				if i == len(c.schema)-1 {
					want = c.want
					if i > 0 {
						compatible := fmt.Sprintf(`"is_compatible":%v`, want == 200)
						if _, answer := ask(t, s, "POST", "/compatibility/subjects/x/versions?verbose=true", string(body)); !strings.Contains(answer, compatible) {
							t.Errorf("compatibility says %s", answer)
						}
					}
				}
				if status, answer := register(t, s, "x", schema); status != want {
					t.Errorf("version %d: %d %s, want %d", i+1, status, answer, want)
				}
			}
		})
	}
}

func TestTheRegistryServesTheClientLibrary(t *testing.T) {
	s := open(t, options(t.TempDir()))
	cl, err := sr.NewClient(sr.URLs(s.RegistryURL()))
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 5*time.Second)
	base, err := cl.CreateSchema(ctx, "base", sr.Schema{Schema: `{"type":"enum","name":"n.e","symbols":["X"]}`})
	if err != nil {
		t.Fatal(err)
	}
	ref := sr.Schema{
		Schema:     record(`{"name":"e","type":"n.e"}`),
		References: []sr.SchemaReference{{Name: "n.e", Subject: "base", Version: base.Version}},
	}
	if _, err := cl.CreateSchema(ctx, "ref", ref); err != nil {
		t.Fatalf("a schema with a reference: %v", err)
	}
	ref.Schema = record(`{"name":"e","type":"n.e"},` + fieldBRequired)
	if _, err := cl.CreateSchema(ctx, "ref", ref); err == nil || !strings.Contains(err.Error(), "incompatible") {
		t.Errorf("an incompatible one: %v", err)
	}
	if c := cl.Compatibility(ctx); c[0].Level != sr.CompatFullTransitive {
		t.Errorf("default level %v", c[0].Level)
	}
}

func TestTheRegistryBoundsAndRefusesWhatItGets(t *testing.T) {
	s := open(t, options(t.TempDir()))
	if status, answer := ask(t, s, "POST", "/subjects/x/versions", strings.Repeat("x", 2<<20)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("2 MiB: %d %s", status, answer)
	}
	if status, _ := ask(t, s, "POST", "/subjects/x/versions", `not json`); status != 422 {
		t.Errorf("no JSON: %d", status)
	}
	if status, _ := ask(t, s, "PUT", "/config/x", `{"compatibility":"SOMETIMES"}`); status/100 != 4 {
		t.Errorf("an unknown level: %d", status)
	}
	status, answer := ask(t, s, "POST", "/subjects/x/versions", `{"schema":"\"int\""}`, "Origin", "http://evil.test", "Sec-Fetch-Site", "cross-site")
	if status != http.StatusForbidden {
		t.Errorf("a page of another origin: %d %s", status, answer)
	}
	if status, answer := ask(t, s, "GET", "/subjects", ""); status != 200 || answer != "[]" {
		t.Errorf("after all that: %d %s", status, answer)
	}
}

func TestADamagedRegistryJournalIsRefusedAndATornOneMended(t *testing.T) {
	make3 := func(t *testing.T, clean bool) (dir, path string) {
		s := open(t, options(t.TempDir()))
		for i := range 3 {
			register(t, s, fmt.Sprint("s", i), record(fieldA+`,{"name":"f`+fmt.Sprint(i)+`","type":"int"}`))
		}
		dir = s.Dir()
		if clean {
			closeStack(t, s)
		} else {
			dir = image(t, s)
		}
		return dir, filepath.Join(dir, "registry.journal")
	}
	t.Run("torn by a kill", func(t *testing.T) {
		dir, path := make3(t, false)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b[:len(b)-3], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, options(dir))
		if status, answer := ask(t, s, "GET", "/subjects", ""); status != 200 || answer != `["s0","s1"]` {
			t.Errorf("%d %s", status, answer)
		}
		if _, answer := register(t, s, "new", record(fieldB)); answer != `{"id":3}` {
			t.Errorf("then %s", answer)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir, path := make3(t, false)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[20] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := embedded.Open(context.Background(), options(dir))
		if _, ok := errors.AsType[*embedded.DamageError](err); !ok {
			_ = s.Close()
			t.Errorf("got %v", err)
		}
	})
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{})
	f.Add(embedded.AppendFrame(nil, []byte("x")))
	f.Add(embedded.AppendFrame(embedded.AppendFrame(nil, []byte("x")), bytes.Repeat([]byte("y"), 300))[:200])
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, valid := embedded.Frames(raw)
		if valid > len(raw) {
			t.Fatalf("%d of %d bytes are whole", valid, len(raw))
		}
		again, n := embedded.Frames(raw[:valid])
		if n != valid || len(again) != len(entries) {
			t.Fatal("the whole part does not read the same by itself")
		}
		_, _, _ = embedded.ParseBatch(raw)
	})
}

func TestAnIDIsFoundWhateverSubjectTheClientTakesItFor(t *testing.T) {
	s := open(t, options(t.TempDir()))
	created, err := http.Post(s.RegistryURL()+"/subjects/mine/versions", "application/json", strings.NewReader(`{"schema":"\"string\""}`))
	if err != nil {
		t.Fatal(err)
	}
	created.Body.Close()
	resp, err := http.Get(s.RegistryURL() + "/schemas/ids/1?subject=some.topic-value&fetchMaxId=false")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answered %s", resp.Status)
	}
}
