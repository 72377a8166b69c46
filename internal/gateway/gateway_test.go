package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/gateway"
	"ell/internal/kafka"
	"ell/internal/registry"
)

const (
	avroType   = "application/vnd.kafka.avro.v2+json"
	jsonType   = "application/vnd.kafka.json.v2+json"
	binaryType = "application/vnd.kafka.binary.v2+json"
	keySchema  = `"{\"type\":\"record\",\"name\":\"k\",\"fields\":[{\"name\":\"at\",\"type\":\"long\"}]}"`
	valSchema  = `"{\"type\":\"record\",\"name\":\"v\",\"fields\":[{\"name\":\"t\",\"type\":\"float\"},{\"name\":\"s\",\"type\":[\"null\",\"string\"]}]}"`
)

// proxy starts a gateway on a fake cluster with the topic "t" of two
// partitions and a fake registry.
func proxy(t testing.TB) (url string, cluster *kfake.Cluster, reg *registry.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	fake := srfake.New()
	t.Cleanup(fake.Close)
	if reg, err = registry.New(registry.Config{Access: access.HTTP{URL: fake.URL()}}); err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: cluster.ListenAddrs()}, Registry: reg, MaxBody: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	t.Cleanup(s.Close)
	return s.URL, cluster, reg
}

func ask(t testing.TB, method, url, contentType, accept, body string) (int, map[string]any, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	json.Unmarshal(text, &doc)
	return resp.StatusCode, doc, string(text)
}

func TestEveryFaultHasConfluentsCode(t *testing.T) {
	url, _, _ := proxy(t)
	avro := func(records string) string {
		return fmt.Sprintf(`{"key_schema":%s,"value_schema":%s,"records":[%s]}`, keySchema, valSchema, records)
	}
	for name, c := range map[string]struct {
		method, path, media, accept, body string
		status, code                      int
	}{
		"another media type":              {"POST", "/topics/t", "text/plain", "", `{}`, 415, 415},
		"no media type":                   {"POST", "/topics/t", "", "", `{}`, 415, 415},
		"an answer nobody can give":       {"POST", "/topics/t", jsonType, "text/html", `{"records":[{"value":1}]}`, 406, 406},
		"no JSON":                         {"POST", "/topics/t", jsonType, "", `{"records":[`, 400, 400},
		"a list instead of an object":     {"POST", "/topics/t", jsonType, "", `[]`, 400, 400},
		"something behind the object":     {"POST", "/topics/t", jsonType, "", `{"records":[{"value":1}]}x`, 400, 400},
		"no records":                      {"POST", "/topics/t", jsonType, "", `{"records":[]}`, 422, 422},
		"a body that is too large":        {"POST", "/topics/t", jsonType, "", `{"records":[{"value":"` + strings.Repeat("x", 70<<10) + `"}]}`, 413, 413},
		"a topic that is not there":       {"POST", "/topics/none", jsonType, "", `{"records":[{"value":1}]}`, 404, 40401},
		"a topic that cannot be":          {"POST", "/topics/a%20b", jsonType, "", `{"records":[{"value":1}]}`, 404, 40401},
		"a partition that is not there":   {"POST", "/topics/t/partitions/9", jsonType, "", `{"records":[{"value":1}]}`, 404, 40402},
		"a record's partition is not":     {"POST", "/topics/t", jsonType, "", `{"records":[{"value":1,"partition":9}]}`, 404, 40402},
		"base64 that is none":             {"POST", "/topics/t", binaryType, "", `{"records":[{"value":"%%"}]}`, 422, 42203},
		"a number for base64":             {"POST", "/topics/t", binaryType, "", `{"records":[{"value":7}]}`, 422, 42203},
		"a list of numbers for base64":    {"POST", "/topics/t", binaryType, "", `{"records":[{"value":[1,2,3]}]}`, 422, 42203},
		"a method that others take":       {"POST", "/brokers", jsonType, "", `{}`, 405, 405},
		"Avro without a value's schema":   {"POST", "/topics/t", avroType, "", `{"records":[{"value":{"t":1}}]}`, 422, 42202},
		"Avro without a key's schema":     {"POST", "/topics/t", avroType, "", `{"value_schema":` + valSchema + `,"records":[{"key":{"at":1},"value":{"t":1,"s":null}}]}`, 422, 42201},
		"a schema that is none":           {"POST", "/topics/t", avroType, "", `{"value_schema":"{}","records":[{"value":{"t":1}}]}`, 422, 42205},
		"a schema id nobody knows":        {"POST", "/topics/t", avroType, "", `{"value_schema_id":999,"records":[{"value":{"t":1}}]}`, 422, 42205},
		"a value of the wrong type":       {"POST", "/topics/t", avroType, "", avro(`{"key":{"at":1},"value":{"t":"warm","s":null}}`), 422, 42203},
		"a value without a field":         {"POST", "/topics/t", avroType, "", avro(`{"key":{"at":1},"value":{"s":null}}`), 422, 42203},
		"a branch that is not there":      {"POST", "/topics/t", avroType, "", avro(`{"key":{"at":1},"value":{"t":1,"s":{"int":3}}}`), 422, 42203},
		"a number that does not fit":      {"POST", "/topics/t", avroType, "", avro(`{"key":{"at":1e40},"value":{"t":1,"s":null}}`), 422, 42203},
		"a body that is not UTF-8":        {"POST", "/topics/t", jsonType, "", "{\"records\":[{\"value\":\"\xff\"}]}", 400, 400},
		"a path that is none":             {"GET", "/clusters", "", "", "", 404, 404},
		"a method that is none":           {"DELETE", "/topics/t", "", "", "", 405, 405},
		"the description of no topic":     {"GET", "/topics/none", "", "", "", 404, 40401},
		"the description of no partition": {"GET", "/topics/t/partitions/x", "", "", "", 404, 40402},
	} {
		t.Run(name, func(t *testing.T) {
			status, doc, text := ask(t, c.method, url+c.path, c.media, c.accept, c.body)
			if status != c.status || doc["error_code"] != float64(c.code) || doc["message"] == "" {
				t.Errorf("got %d %s, want %d with code %d", status, text, c.status, c.code)
			}
		})
	}
}

func TestRecordsOfEveryKindArriveAsTheyWereSent(t *testing.T) {
	url, cluster, reg := proxy(t)
	status, doc, text := ask(t, "POST", url+"/topics/t/partitions/1", avroType, "application/vnd.kafka.v2+json",
		fmt.Sprintf(`{"key_schema":%s,"value_schema":%s,"records":[{"key":{"at":7},"value":{"t":71.5,"s":{"string":"sunny"}}},{"key":null,"value":{"t":1,"s":null}}]}`, keySchema, valSchema))
	if status != 200 {
		t.Fatal(text)
	}
	id := doc["value_schema_id"]
	for _, body := range []string{
		fmt.Sprintf(`{"value_schema_id":%v,"records":[{"value":{"t":2,"s":null},"partition":1}]}`, id),
	} {
		if status, _, text := ask(t, "POST", url+"/topics/t", avroType, "", body); status != 200 {
			t.Fatal(text)
		}
	}
	if status, _, text := ask(t, "POST", url+"/topics/t/partitions/1", jsonType, "", `{"records":[{"key":"k","value":{ "a" : [1, 2] }},{"key":"k"}]}`); status != 200 {
		t.Fatal(text)
	}
	if status, _, text := ask(t, "POST", url+"/topics/t/partitions/1", binaryType, "", `{"records":[{"key":"AP8=","value":"aGk="}]}`); status != 200 {
		t.Fatal(text)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {1: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []*kgo.Record
	for len(got) < 6 {
		fs := cl.PollFetches(t.Context())
		if fs.Err() != nil {
			t.Fatal(fs.Err())
		}
		got = append(got, fs.Records()...)
	}
	keyID, _, err := event.Unframe(got[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	if schema, err := reg.Schema(keyID); err != nil || !strings.Contains(schema, `"k"`) {
		t.Errorf("the key's schema is %s, %v", schema, err)
	}
	if valueID, rest, err := event.Unframe(got[0].Value); err != nil || float64(valueID) != id || fmt.Sprintf("%x", rest) != "00008f42020a73756e6e79" {
		t.Errorf("value %x, id %v: %v", got[0].Value, valueID, err)
	}
	for i, want := range []struct{ key, value string }{1: {"<nil>", ""}, 2: {"<nil>", ""}, 3: {`"k"`, `{"a":[1,2]}`}, 4: {`"k"`, "<nil>"}, 5: {"\x00\xff", "hi"}} {
		if i == 0 {
			continue
		}
		if k := text2(got[i].Key); k != want.key {
			t.Errorf("record %d: key %q, want %q", i, k, want.key)
		}
		if v := text2(got[i].Value); want.value != "" && v != want.value {
			t.Errorf("record %d: value %q, want %q", i, v, want.value)
		}
	}
}

func text2(b []byte) string {
	if b == nil {
		return "<nil>"
	}
	return string(b)
}

func TestABrokerThatRefusesIsToldForEachRecord(t *testing.T) {
	url, cluster, _ := proxy(t)
	for _, c := range []struct {
		kafka  int16
		status int
		code   float64
	}{{10, 200, 50002}, {29, 403, 40301}, {58, 401, 40101}} { // MESSAGE_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED, SASL_AUTHENTICATION_FAILED
		cluster.ControlKey(0, refuse(c.kafka))
		status, doc, text := ask(t, "POST", url+"/topics/t/partitions/0", jsonType, "", `{"records":[{"value":1},{"value":2}]}`)
		offsets, _ := doc["offsets"].([]any)
		if status != c.status || len(offsets) != 2 {
			t.Fatalf("%d %s", status, text)
		}
		for _, o := range offsets {
			if o := o.(map[string]any); o["error_code"] != c.code || o["offset"] != nil || o["error"] == "" {
				t.Errorf("%v, want code %v", o, c.code)
			}
		}
	}
}

func TestWhatIsAwayIsSaidAndMayBeTriedAgain(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	fake := srfake.New()
	t.Cleanup(fake.Close)
	reg, err := registry.New(registry.Config{Access: access.HTTP{URL: fake.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: cluster.ListenAddrs()}, Registry: reg, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	t.Cleanup(s.Close)

	fake.Close()
	status, doc, text := ask(t, "POST", s.URL+"/topics/t", avroType, "", `{"value_schema":`+valSchema+`,"records":[{"value":{"t":1,"s":null}}]}`)
	if status != 408 || doc["error_code"] != 40801.0 {
		t.Errorf("no registry: %d %s", status, text)
	}

	release := make(chan struct{})
	cluster.ControlKey(0, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	status, doc, text = ask(t, "POST", s.URL+"/topics/t", jsonType, "", `{"records":[{"value":1}]}`)
	close(release)
	offsets, _ := doc["offsets"].([]any)
	if status != 200 || len(offsets) != 1 || offsets[0].(map[string]any)["error_code"] != 50003.0 {
		t.Errorf("a broker that stalls: %d %s", status, text)
	}

	cluster.Close()
	for _, do := range [][2]string{{"GET", "/topics"}, {"GET", "/topics/t"}, {"POST", "/topics/t"}} {
		status, doc, text := ask(t, do[0], s.URL+do[1], jsonType, "", `{"records":[{"value":1}]}`)
		if status != 500 || doc["error_code"] != 50003.0 {
			t.Errorf("no broker: %s %s: %d %s", do[0], do[1], status, text)
		}
	}
}

func TestOnlyWhatFailsBeforeTheClientGoesIsWarnedOf(t *testing.T) {
	reg, err := registry.New(registry.Config{Access: access.HTTP{URL: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	g, err := gateway.New(gateway.Config{
		Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}}, Registry: reg, Timeout: time.Second,
		Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		client string
		ctx    context.Context
		warned bool
	}{{"one who went away", gone, false}, {"one who waits", t.Context(), true}} {
		said.Reset()
		g.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(c.ctx, "GET", "http://localhost/topics", nil))
		if warned := strings.Contains(said.String(), "request failed"); warned != c.warned {
			t.Errorf("%s: warned %v; the log has %q", c.client, warned, said.String())
		}
	}
}

func TestManyDevicesAtOnceLoseNothing(t *testing.T) {
	url, _, _ := proxy(t)
	const devices, each = 100, 3 // more than may be in work at once
	var mu sync.Mutex
	seen := map[float64]bool{}
	var all sync.WaitGroup
	for range devices {
		all.Go(func() {
			for range each {
				status, doc, text := ask(t, "POST", url+"/topics/t/partitions/0", jsonType, "", `{"records":[{"value":1}]}`)
				offsets, _ := doc["offsets"].([]any)
				if status != 200 || len(offsets) != 1 {
					t.Errorf("%d %s", status, text)
					return
				}
				at, ok := offsets[0].(map[string]any)["offset"].(float64)
				mu.Lock()
				if !ok || seen[at] {
					t.Errorf("offset %v was given twice or not at all: %s", at, text)
				}
				seen[at] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != devices*each {
		t.Errorf("%d records arrived, want %d", len(seen), devices*each)
	}
}

func TestTopicsPartitionsAndBrokersAreDescribed(t *testing.T) {
	url, _, _ := proxy(t)
	for path, want := range map[string]string{
		"/":                      `{}`,
		"/topics":                `["t"]`,
		"/brokers":               `{"brokers":[0]}`,
		"/topics/t/partitions/1": `{"partition":1,"leader":0,"replicas":[{"broker":0,"leader":true,"in_sync":true}]}`,
		"/topics/t/partitions":   `{"partition":1,`,
		"/topics/t":              `"name":"t","configs":{`,
	} {
		if status, _, text := ask(t, "GET", url+path, "", "", ""); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", path, status, text, want)
		}
	}
}

func TestABusyPortIsSaidWithTheFlagThatMendsIt(t *testing.T) {
	_, cluster, reg := proxy(t)
	cfg := gateway.Config{Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: cluster.ListenAddrs()}, Registry: reg}
	first, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr = first.Addr()
	if _, err := gateway.New(cfg); err == nil || !strings.Contains(err.Error(), "--gateway-addr") {
		t.Errorf("got %v", err)
	}
	if err := firstRun(t, first); err != nil {
		t.Error(err)
	}
}

func FuzzBodies(f *testing.F) {
	url, _, _ := proxy(f)
	f.Add(avroType, fmt.Sprintf(`{"key_schema":%s,"value_schema":%s,"records":[{"key":{"at":7},"value":{"t":71.5,"s":{"string":"sunny"}}}]}`, keySchema, valSchema))
	f.Add(jsonType, `{"records":[{"key":"k","value":{"a":[1,2]},"partition":1}]}`)
	f.Add(binaryType, `{"records":[{"value":"aGk="}]}`)
	f.Fuzz(func(t *testing.T, media, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/topics/t", strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, media))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 500 {
			t.Fatalf("%q as %q: %s", body, media, resp.Status)
		}
	})
}
