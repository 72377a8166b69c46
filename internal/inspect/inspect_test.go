package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/testkit"
	"ell/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testkit.ClosedClient()) }

var _ web.Log = (*Log)(nil)

// schemas has the project's own, by their place in the list.
type schemas struct{}

func (schemas) Schema(id int) (string, error) {
	all := event.Schemas()
	if id < 1 || id > len(all) {
		return "", fmt.Errorf("no schema %d", id)
	}
	return all[id-1].Text, nil
}

func encoder(t *testing.T) *event.Encoder {
	t.Helper()
	ids := event.IDs{}
	for i, s := range event.Schemas() {
		ids[s.Name] = i + 1
	}
	e, err := event.NewEncoder(ids)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

type fixture struct {
	*Log
	cl *kgo.Client
}

func start(t *testing.T) *fixture {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "many"), kfake.SeedTopics(1, "one", "empty", "markers"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cfg := kafka.Config{Brokers: c.ListenAddrs(), ClientID: "test"}
	l, err := New(Config{Kafka: cfg, Schemas: schemas{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := cfg.New(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &fixture{l, cl}
}

func (f *fixture) put(t *testing.T, r *kgo.Record) {
	t.Helper()
	if err := f.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) read(t *testing.T, q web.RecordQuery) web.RecordPage {
	t.Helper()
	p, err := f.Records(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTopicsHaveTheirWatermarks(t *testing.T) {
	f := start(t)
	for i := range 5 {
		f.put(t, &kgo.Record{Topic: "one", Value: fmt.Appendf(nil, "%d", i)})
	}
	list, err := f.Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	if got := strings.Join(names, " "); got != "empty many markers one" {
		t.Fatalf("topics %s", got)
	}
	info, err := f.Topic(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if info.Records != 5 || len(info.Partitions) != 1 || info.Partitions[0].End != 5 || info.Partitions[0].Stable != 5 || len(info.Config) == 0 {
		t.Errorf("%+v", info)
	}
	if _, err := f.Topic(t.Context(), "nothing"); !errors.Is(err, web.ErrNoTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestRecordsByOffsetTimeEndAndFilter(t *testing.T) {
	f := start(t)
	began := time.Now().Add(-time.Hour)
	for i := range 90 {
		f.put(t, &kgo.Record{
			Topic: "many", Partition: int32(i % 3), Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, `{"n":%d}`, i),
			Timestamp: began.Add(time.Duration(i) * time.Second),
		})
	}
	keys := func(p web.RecordPage) string {
		var out []string
		for _, r := range p.Records {
			out = append(out, r.Key.Text)
		}
		return strings.Join(out, " ")
	}
	for name, x := range map[string]struct {
		q    web.RecordQuery
		want string
	}{
		"from an offset":        {web.RecordQuery{Partition: 1, Offset: 2, Limit: 3}, "k7 k10 k13"},
		"one record":            {web.RecordQuery{Partition: 2, Offset: 29, Limit: 1}, "k89"},
		"past the end":          {web.RecordQuery{Partition: 2, Offset: 30, Limit: 5}, ""},
		"from a time":           {web.RecordQuery{Partition: 0, Offset: -1, Time: began.Add(80 * time.Second).UnixMilli(), Limit: 5}, "k81 k84 k87"},
		"from a time to come":   {web.RecordQuery{Partition: -1, Offset: -1, Time: time.Now().Add(time.Hour).UnixMilli(), Limit: 5}, ""},
		"the newest":            {web.RecordQuery{Partition: -1, Offset: -2, Limit: 4}, "k86 k87 k88 k89"},
		"the newest with text":  {web.RecordQuery{Partition: -1, Offset: -2, Limit: 2, Filter: `"N":4`}, "k48 k49"},
		"with text in the key":  {web.RecordQuery{Partition: 0, Offset: 0, Limit: 5, Filter: "k60"}, "k60"},
		"with text not there":   {web.RecordQuery{Partition: -1, Offset: 0, Limit: 5, Filter: "zebra"}, ""},
		"newest, all there are": {web.RecordQuery{Topic: "empty", Partition: -1, Offset: -2, Limit: 4}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if x.q.Topic == "" {
				x.q.Topic = "many"
			}
			p := f.read(t, x.q)
			if got := keys(p); got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
	if _, err := f.Records(t.Context(), web.RecordQuery{Topic: "many", Partition: 7, Offset: 0, Limit: 1}); !errors.Is(err, web.ErrNoTopic) {
		t.Errorf("a partition that is not there: %v", err)
	}
	if _, err := f.Records(t.Context(), web.RecordQuery{Topic: "none", Partition: -1, Offset: 0, Limit: 1}); !errors.Is(err, web.ErrNoTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestPagesFollowOneAnother(t *testing.T) {
	f := start(t)
	for i := range 25 {
		f.put(t, &kgo.Record{Topic: "one", Value: fmt.Appendf(nil, "v%d!", i)})
	}
	seen, at := 0, int64(0)
	for range 10 {
		p := f.read(t, web.RecordQuery{Topic: "one", Partition: 0, Offset: at, Limit: 10})
		for _, r := range p.Records {
			if r.Value.Text != fmt.Sprintf("v%d!", seen) {
				t.Fatalf("record %d is %q", seen, r.Value.Text)
			}
			seen++
		}
		if !p.More {
			break
		}
		at = p.Next[0]
	}
	if seen != 25 {
		t.Errorf("%d records in pages, want 25", seen)
	}
}

func TestAbortedRecordsAreNotShownAndDoNotHang(t *testing.T) {
	f := start(t)
	cfg := f.cfg.Kafka
	tx, err := cfg.New(kgo.TransactionalID("t"), kgo.DefaultProduceTopic("markers"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryAbort} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprintf("tx%d.", i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	p, err := f.Records(ctx, web.RecordQuery{Topic: "markers", Partition: -1, Offset: 0, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Records) != 1 || p.Records[0].Value.Text != "tx0." {
		t.Errorf("%+v", p.Records)
	}
}

func TestValuesAreShownAsWhatTheyAre(t *testing.T) {
	f := start(t)
	e := encoder(t)
	arrival := event.Arrival{StationID: 40900, Timestamp: 1761913800000, TrainID: "RD101", Direction: "b", Line: "red", TrainStatus: event.InService}
	avroValue := e.AppendArrival(nil, &arrival)
	f.put(t, &kgo.Record{Topic: "one", Key: e.AppendArrivalKey(nil, 40900, 1761913800000), Value: avroValue,
		Headers: []kgo.RecordHeader{{Key: "pattern", Value: []byte("red-main")}, {Key: "none", Value: nil}}})
	f.put(t, &kgo.Record{Topic: "one", Key: []byte("40900"), Value: []byte(`{"a":"<b>"}`)})
	f.put(t, &kgo.Record{Topic: "one", Key: nil, Value: nil})
	f.put(t, &kgo.Record{Topic: "one", Key: []byte("grüße"), Value: []byte{0xff, 0xfe}})
	f.put(t, &kgo.Record{Topic: "one", Value: avroValue[:len(avroValue)-3]})
	f.put(t, &kgo.Record{Topic: "one", Value: append(append([]byte{}, avroValue...), 7)})
	f.put(t, &kgo.Record{Topic: "one", Value: []byte{0, 0, 15, 66, 64, 1, 2}})
	f.put(t, &kgo.Record{Topic: "one", Value: []byte(strings.Repeat("ü", 20_000))})
	rs := f.read(t, web.RecordQuery{Topic: "one", Partition: 0, Offset: 0, Limit: 20}).Records
	if len(rs) != 8 {
		t.Fatalf("%d records", len(rs))
	}
	if v := rs[0].Value; v.Format != "avro" || !strings.Contains(string(v.JSON), `"train_id":"RD101"`) || v.SchemaID == 0 || !strings.Contains(v.Schema, "arrival_value") {
		t.Errorf("Avro: %+v %s", v, v.JSON)
	}
	if h := rs[0].Headers; len(h) != 2 || h[0].Key != "pattern" || h[0].Value.Text != "red-main" || h[1].Value.Format != "null" {
		t.Errorf("headers: %+v", h)
	}
	if r := rs[1]; r.Key.Format != "json" || string(r.Value.JSON) != `{"a":"<b>"}` {
		t.Errorf("JSON: %+v", r)
	}
	if r := rs[2]; r.Key.Format != "null" || r.Value.Format != "null" {
		t.Errorf("null: %+v", r)
	}
	if r := rs[3]; r.Key.Format != "text" || r.Value.Format != "binary" || r.Value.Text != "//4=" {
		t.Errorf("text and binary: %+v", r)
	}
	for i, what := range map[int]string{4: "truncated", 5: "with bytes behind", 6: "of an unknown schema"} {
		if v := rs[i].Value; v.Error == "" || v.Format == "avro" {
			t.Errorf("Avro %s: %+v", what, v)
		}
	}
	if v := rs[7].Value; !v.Cut || v.Size != 40_000 || len(v.Text) > maxShown || v.Format != "text" {
		t.Errorf("long text: %d of %d bytes, %s", len(v.Text), v.Size, v.Format)
	}
}

func TestBrokerAwayIsAnErrorInTime(t *testing.T) {
	l, err := New(Config{Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "test"}, Schemas: schemas{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := l.Records(ctx, web.RecordQuery{Topic: "x", Partition: -1, Offset: 0, Limit: 1}); err == nil {
		t.Error("no error")
	}
}
