package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"ell/internal/access"
	"ell/internal/gateway"
	"ell/internal/kafka"
	"ell/internal/registry"
)

// unserved is a gateway with its default bounds, which nobody runs yet.
func unserved(t testing.TB) *gateway.Gateway {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "t"))
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
	g, err := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Kafka: kafka.Config{Brokers: cluster.ListenAddrs()}, Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRecordsWithoutAKeyReachEveryPartition(t *testing.T) {
	url, _, _ := proxy(t)
	seen := map[any]int{}
	for range 64 {
		_, doc, text := ask(t, "POST", url+"/topics/t", jsonType, "", `{"records":[{"value":1}]}`)
		offsets, _ := doc["offsets"].([]any)
		if len(offsets) != 1 {
			t.Fatal(text)
		}
		seen[offsets[0].(map[string]any)["partition"]]++
	}
	if len(seen) != 2 {
		t.Errorf("records went to %v of 2 partitions", seen)
	}
}

func TestRecordsOfAKeyStayInOnePartition(t *testing.T) {
	url, _, _ := proxy(t)
	seen := map[any]int{}
	for range 16 {
		_, doc, _ := ask(t, "POST", url+"/topics/t", jsonType, "", `{"records":[{"key":"k","value":1},{"key":"k","value":2}]}`)
		for _, o := range doc["offsets"].([]any) {
			seen[o.(map[string]any)["partition"]]++
		}
	}
	if len(seen) != 1 {
		t.Errorf("records of one key went to %v", seen)
	}
}

// More clients than there are places stop in the midst of a small body, and as
// many in the midst of a large one; a device is answered all the same, and the
// end of the gateway waits for none of them.
func TestClientsThatStallStopNoDevice(t *testing.T) {
	g := unserved(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	var dial net.Dialer
	for i := range 120 {
		c, err := dial.DialContext(t.Context(), "tcp", g.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		part := `{"records":[`
		if i%2 == 1 {
			part += strings.Repeat(`{},`, 7000)
		}
		if _, err := fmt.Fprintf(c, "POST /topics/t HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 100000\r\n\r\n%s", jsonType, part); err != nil {
			t.Fatal(err)
		}
	}
	asked := time.Now()
	for range 20 {
		if status, _, text := ask(t, "POST", "http://"+g.Addr()+"/topics/t", jsonType, "", `{"records":[{"value":1}]}`); status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
	}
	if took := time.Since(asked); took > 4*time.Second {
		t.Errorf("a device waited %v behind clients that stall", took)
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the gateway does not end")
	}
}

func TestHostileBodiesCostLittle(t *testing.T) {
	h := unserved(t).Handler()
	avro := func(schema, value string) string {
		return fmt.Sprintf(`{"value_schema":%q,"records":[{"value":%s}]}`, schema, value)
	}
	const self = `{"type":"record","name":"r","fields":[{"name":"n","type":["null","r"]}]}`
	for name, c := range map[string]struct {
		media, body string
		status      int
		mib         uint64 // that may be allocated
	}{
		"nothing but empty records":        {jsonType, `{"records":[` + strings.Repeat("{},", 340_000) + `{}]}`, 413, 24},
		"brackets without end":             {jsonType, `{"records":[{"value":` + strings.Repeat("[", 900_000), 400, 24},
		"a value deeper than any stack":    {jsonType, `{"records":[{"value":` + strings.Repeat("[", 450_000) + strings.Repeat("]", 450_000) + `}]}`, 400, 24},
		"a schema deeper than any stack":   {avroType, avro(strings.Repeat(`[`, 400_000), "1"), 422, 24},
		"a value that repeats its schema":  {avroType, avro(self, strings.Repeat(`{"n":{"r":`, 60_000)+`{"n":null}`+strings.Repeat("}}", 60_000)), 400, 24},
		"a size beyond memory":             {avroType, avro(`{"type":"fixed","name":"f","size":2147483647}`, `"x"`), 422, 24},
		"a number of a million digits":     {avroType, avro(`"double"`, strings.Repeat("9", 900_000)), 422, 40},
		"an exponent beyond all bounds":    {avroType, avro(`"long"`, "1e999999999"), 422, 24},
		"a body larger than it may be":     {jsonType, `{"records":[{"value":"` + strings.Repeat("x", 2<<20) + `"}]}`, 413, 12},
		"a record list that is an object":  {jsonType, `{"records":{"value":1}}`, 400, 12},
		"a record list that is null":       {jsonType, `{"records":null}`, 422, 12},
		"a partition below zero":           {jsonType, `{"records":[{"value":1,"partition":-1}]}`, 404, 12},
		"a partition that is no number":    {jsonType, `{"records":[{"value":1,"partition":"0"}]}`, 400, 12},
		"a schema id below zero":           {avroType, `{"value_schema_id":-1,"records":[{"value":1}]}`, 422, 12},
		"a schema id beyond the framing":   {avroType, `{"value_schema_id":4294967296,"records":[{"value":1}]}`, 422, 12},
		"a schema that is empty":           {avroType, `{"value_schema":"","records":[{"value":1}]}`, 422, 12},
		"bytes that are half a surrogate":  {avroType, avro(`"bytes"`, `"\ud800"`), 422, 12},
		"nothing at all":                   {jsonType, "", 400, 12},
		"a body compressed without a word": {jsonType, "\x1f\x8b\x08\x00", 400, 12},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/topics/t", strings.NewReader(c.body))
			req.Header.Set("Content-Type", c.media)
			req.ContentLength = -1 // as if sent in chunks
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			runtime.ReadMemStats(&after)
			if w.Code != c.status {
				t.Errorf("%d %.300s, want %d", w.Code, w.Body, c.status)
			}
			if w.Body.Len() > 4<<10 {
				t.Errorf("the answer has %d bytes", w.Body.Len())
			}
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > c.mib {
				t.Errorf("allocated %d MiB, want at most %d", mib, c.mib)
			}
		})
	}
}

func BenchmarkProduce(b *testing.B) {
	h := unserved(b).Handler()
	const record = `{"key":{"at":7},"value":{"t":71.5,"s":{"string":"sunny"}}}`
	for name, n := range map[string]int{"one": 1, "hundred": 100} {
		body := fmt.Sprintf(`{"key_schema":%s,"value_schema":%s,"records":[%s]}`, keySchema, valSchema,
			strings.TrimSuffix(strings.Repeat(record+",", n), ","))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "http://localhost/topics/t", strings.NewReader(body))
				req.Header.Set("Content-Type", avroType)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
				io.Copy(io.Discard, w.Body)
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
