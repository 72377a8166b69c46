package gateway_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// A conversation with a fresh proxy, answer by answer: what a client of
// Confluent's REST Proxy reads, to the byte.
func TestAConversationReadsAsConfluentsWould(t *testing.T) {
	url, _, _ := proxy(t)
	var got strings.Builder
	for _, c := range []struct{ method, path, media, accept, body string }{
		{"GET", "/", "", "", ""},
		{"GET", "/brokers", "", "application/vnd.kafka.v2+json, application/json;q=0.5", ""},
		{"GET", "/topics", "", "*/*", ""},
		{"GET", "/topics/t/partitions", "", "", ""},
		{"GET", "/topics/t/partitions/0", "", "", ""},
		{"GET", "/topics/none", "", "", ""},
		{"GET", "/topics/t/partitions/2", "", "", ""},
		{"POST", "/topics/t/partitions/0", avroType, "", `{"key_schema":` + keySchema + `,"value_schema":` + valSchema + `,"records":[{"key":{"at":7},"value":{"t":71.5,"s":{"string":"sunny"}}},{"value":{"t":-1e-3,"s":null}}]}`},
		{"POST", "/topics/t/partitions/0", avroType, "", `{"key_schema_id":1,"value_schema_id":2,"records":[{"key":{"at":8},"value":{"t":3,"s":null}}]}`},
		{"POST", "/topics/t", avroType + "; charset=utf-8", "", `{"value_schema_id":2,"records":[{"partition":1,"key":null,"value":null}]}`},
		{"POST", "/topics/t/partitions/0", jsonType, "", `{"records":[{"key":"k","value":{"a":[1,2]}},{"key":"k"},{"partition":1,"value":null}]}`},
		{"POST", "/topics/t/partitions/0", binaryType, "application/json", `{"records":[{"key":"AP8=","value":"aGk="}]}`},
		{"POST", "/topics/t", avroType, "", `{"records":[{"value":{"t":1}}]}`},
		{"POST", "/topics/t", avroType, "", `{"value_schema_id":2,"records":[{"key":{"at":1},"value":{"t":1,"s":null}}]}`},
		{"POST", "/topics/t", avroType, "", `{"value_schema_id":2,"records":[{"value":{"t":1,"s":null}},{"value":{"t":1,"s":"sunny"}}]}`},
		{"POST", "/topics/t", avroType, "", `{"value_schema_id":2,"records":[{"value":{"t":1,"s":null,"<b>":1}}]}`},
		{"POST", "/topics/t", avroType, "", `{"value_schema":"{\"type\":\"nothing\"}","records":[{"value":1}]}`},
		{"POST", "/topics/t/partitions/0", avroType, "", `{"value_schema":"\"int\"","records":[{"value":1}]}`},
		{"POST", "/topics/t", "application/vnd.kafka.protobuf.v2+json", "", `{"records":[{"value":1}]}`},
		{"POST", "/topics/t", jsonType, "text/html", `{"records":[{"value":1}]}`},
		{"POST", "/topics/t", jsonType, "", `{"records":[]}`},
		{"POST", "/topics/t", jsonType, "", `{"records":[{"vlaue":1}]}`},
		{"POST", "/topics/t", jsonType, "", `{"records":[` + strings.Repeat("{},", 10_000) + `{}]}`},
		{"POST", "/topics/t", binaryType, "", `{"records":[{"value":"a"}]}`},
		{"PUT", "/topics/t", "", "", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"Content-Type": c.media, "Accept": c.accept} {
			if v != "" {
				req.Header.Set(k, v)
			}
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if !json.Valid(text.Bytes()) || resp.Header.Get("Content-Type") != "application/vnd.kafka.v2+json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s is answered with %v %s", c.method, c.path, resp.Header, text.String())
		}
		fmt.Fprintf(&got, "> %s %s", c.method, c.path)
		for _, extra := range []string{c.media, c.accept, c.body} {
			if extra != "" {
				fmt.Fprintf(&got, "\n> %.300s", extra)
			}
		}
		fmt.Fprintf(&got, "\n< %d\n%s\n", resp.StatusCode, text.String())
	}
	golden := filepath.Join("testdata", "conversation.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
