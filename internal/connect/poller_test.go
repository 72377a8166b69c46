package connect_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	_ "modernc.org/sqlite"

	"ell/internal/connect"
	"ell/internal/event"
	"ell/internal/kafka"
)

const tables = `
CREATE TABLE stations (stop_id INTEGER PRIMARY KEY, direction_id VARCHAR(1), stop_name VARCHAR(70), station_name VARCHAR(70),
  station_descriptive_name VARCHAR(200), station_id INTEGER, "order" INTEGER, red BOOLEAN, blue BOOLEAN, green BOOLEAN,
  brown BOOLEAN, orange BOOLEAN, pink BOOLEAN, purple BOOLEAN, yellow BOOLEAN, latitude REAL, longitude REAL, ada BOOLEAN);
CREATE TABLE station_lines (line VARCHAR(20) NOT NULL, station_id INTEGER NOT NULL, "order" INTEGER, PRIMARY KEY (line, station_id));
INSERT INTO stations VALUES (30173,'N','Howard (NB)','Howard','Howard (Red, Yellow & Purple lines)',40900,0,1,0,0,0,0,0,1,1,42.019063,-87.672892,1);
INSERT INTO station_lines VALUES ('red',40900,0),('yellow',40900,2);`

// bench is a broker with the topics and a database file with the tables.
type bench struct {
	t       *testing.T
	cluster *kfake.Cluster
	cfg     kafka.Config
	path    string
	sole    bool // no other can have a poller's place
}

func newBench(t *testing.T) *bench {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b := &bench{t: t, cluster: c, cfg: kafka.Config{Brokers: c.ListenAddrs()}, path: filepath.Join(t.TempDir(), "db")}
	cl, err := b.cfg.New()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var specs []event.TopicSpec
	for _, name := range []string{"stations", "station_lines", "offsets"} {
		specs = append(specs, event.TopicSpec{Name: name, Partitions: 1, Compact: true})
	}
	if _, err := kafka.EnsureTopics(t.Context(), cl, specs, 1); err != nil {
		t.Fatal(err)
	}
	b.exec(tables)
	return b
}

// exec runs SQL the way another process would: on a connection of its own.
func (b *bench) exec(query string, args ...any) {
	b.t.Helper()
	db := b.open()
	defer db.Close()
	if _, err := db.ExecContext(b.t.Context(), query, args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open() *sql.DB {
	b.t.Helper()
	dsn := url.URL{Scheme: "file", Path: b.path, RawQuery: "_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		b.t.Fatal(err)
	}
	return db
}

// running is a poller under way.
type running struct {
	*connect.Poller
	stop context.CancelFunc
	done chan error
}

func (b *bench) start(id string) *running {
	b.t.Helper()
	db := b.open()
	p, err := connect.NewPoller(connect.PollerConfig{
		DB: db, Tables: connect.StationTables("stations", "station_lines"), Kafka: b.cfg,
		TransactionalID: id, OffsetsTopic: "offsets", Every: 5 * time.Millisecond, Version: "PRAGMA data_version", Sole: b.sole,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.t.Context())
	r := &running{Poller: p, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- p.Run(ctx) }()
	b.t.Cleanup(func() {
		stop()
		<-r.done
		db.Close()
	})
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	err := <-r.done
	r.done <- err
	if err != nil {
		t.Errorf("Run: %v", err)
	}
}

// topic returns what is on a topic, key to value.
func (b *bench) topic(name string) map[string]string {
	b.t.Helper()
	table, err := kafka.ReadTable(b.t.Context(), b.cfg, name, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	out := make(map[string]string)
	for k, r := range table {
		out[k] = string(r.Value)
	}
	return out
}

// eventually waits for the topic to satisfy ok.
func (b *bench) eventually(name string, ok func(map[string]string) bool) {
	b.t.Helper()
	var last map[string]string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if last = b.topic(name); ok(last) {
			return
		}
	}
	b.t.Fatalf("topic %s holds %v", name, last)
}

func (b *bench) records(name string) int64 { return b.cluster.PartitionInfo(name, 0).HighWatermark }

func TestThePollerSendsRowsWithAllColumnsKeyedByTheirPrimaryKey(t *testing.T) {
	b := newBench(t)
	b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	if d := cmp.Diff(map[string]string{
		`{"stop_id":30173}`: `{"stop_id":30173,"direction_id":"N","stop_name":"Howard (NB)","station_name":"Howard",` +
			`"station_descriptive_name":"Howard (Red, Yellow \u0026 Purple lines)","station_id":40900,"order":0,` +
			`"red":true,"blue":false,"green":false,"brown":false,"orange":false,"pink":false,"purple":true,"yellow":true,` +
			`"latitude":42.019063,"longitude":-87.672892,"ada":true}`,
	}, b.topic("stations")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{
		`{"line":"red","station_id":40900}`:    `{"line":"red","station_id":40900,"order":0}`,
		`{"line":"yellow","station_id":40900}`: `{"line":"yellow","station_id":40900,"order":2}`,
	}, b.topic("station_lines")); d != "" {
		t.Error(d)
	}
	var o struct {
		Rows int
		Last map[string]int
	}
	if err := json.Unmarshal([]byte(b.topic("offsets")[`["stations",{"table":"stations"}]`]), &o); err != nil || o.Rows != 1 || o.Last["stop_id"] != 30173 {
		t.Errorf("offset: %+v, %v", o, err)
	}
}

func TestThePollerSeesWhatOthersWriteWhileItRuns(t *testing.T) {
	b := newBench(t)
	b.start("a")
	b.eventually("stations", func(m map[string]string) bool { return len(m) == 1 })
	began := time.Now()
	b.exec(`INSERT INTO stations (stop_id, station_id, station_name) VALUES (7, 40001, 'New')`)
	b.eventually("stations", func(m map[string]string) bool {
		return strings.Contains(m[`{"stop_id":7}`], `"station_name":"New","station_descriptive_name":null,"station_id":40001,"order":null`)
	})
	t.Logf("an inserted row is on the topic after %v (poll every 5 ms)", time.Since(began))
	b.exec(`UPDATE stations SET station_name = 'Newer' WHERE stop_id = 7`)
	b.eventually("stations", func(m map[string]string) bool { return strings.Contains(m[`{"stop_id":7}`], `"Newer"`) })
	b.exec(`DELETE FROM stations WHERE stop_id = 7`)
	b.eventually("stations", func(m map[string]string) bool { _, ok := m[`{"stop_id":7}`]; return !ok })
}

func TestAnIdlePollerReadsNothingAndSendsNothing(t *testing.T) {
	b := newBench(t)
	p := b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	first := p.Stats()
	for p.Stats().Polls < first.Polls+20 {
		time.Sleep(time.Millisecond)
	}
	if s := p.Stats(); s.Reads > 2 || s.Transactions != 2 {
		t.Errorf("after 20 idle polls: %+v", s)
	}
}

func TestARestartedPollerSendsOnlyWhatChangedMeanwhile(t *testing.T) {
	b := newBench(t)
	p := b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	p.end(t)
	before := b.records("stations") + b.records("station_lines")
	b.exec(`INSERT INTO station_lines VALUES ('blue', 1, NULL); DELETE FROM station_lines WHERE line = 'red'`)
	p = b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 && m[`{"line":"blue","station_id":1}`] != "" })
	p.end(t)
	if s := p.Stats(); s.Rows != 1 || s.Tombstones != 1 || s.Transactions != 1 {
		t.Errorf("sent %+v", s)
	}
	if n := b.records("stations") + b.records("station_lines") - before; n != 3 { // row, tombstone, marker
		t.Errorf("%d records more, want 3", n)
	}
}

func TestAnotherPollerTakesThePlaceAndTheFirstStops(t *testing.T) {
	b := newBench(t)
	first := b.start("same")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	second := b.start("same")
	for second.Stats().Reads == 0 {
		time.Sleep(time.Millisecond)
	}
	b.exec(`INSERT INTO station_lines VALUES ('pink', 9, 9)`)
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 3 })
	select {
	case err := <-first.done:
		first.done <- err
		if err == nil || kafka.Classify(err) != kafka.Fatal {
			t.Errorf("the first ended with %v, want a fatal error", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the first goes on")
	}
	second.end(t)
}

func TestABrokerThatRefusesAWhileLosesNothing(t *testing.T) {
	b := newBench(t)
	var left = 3
	b.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		if left == 0 {
			return nil, nil, false
		}
		left--
		b.cluster.KeepControl()
		return nil, fmt.Errorf("cut"), true // the connection closes, the outcome is unknown
	})
	b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	b.eventually("stations", func(m map[string]string) bool { return len(m) == 1 })
}

func TestAProducerThatTheBrokerHasForgottenIsReplaced(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.InvalidTxnState, kerr.UnknownProducerID, kerr.TransactionAbortable, kerr.InvalidProducerIDMapping, kerr.ProducerFenced} {
		t.Run(code.Message, func(t *testing.T) {
			b := newBench(t)
			b.sole = code == kerr.ProducerFenced // after a laptop's sleep, where no other can be meant
			b.start("a")
			b.eventually("stations", func(m map[string]string) bool { return len(m) == 1 })
			b.cluster.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) { // once
				resp := r.ResponseKind().(*kmsg.EndTxnResponse)
				resp.ErrorCode = code.Code
				return resp, nil, true
			})
			b.exec(`INSERT INTO station_lines VALUES ('pink', 9, 9)`)
			b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 3 })
		})
	}
}

func TestHostileRowsAreSentAsTheyAreOrRefusedOneByOne(t *testing.T) {
	b := newBench(t)
	b.exec(`INSERT INTO stations (stop_id, stop_name, station_name, station_id, latitude) VALUES
	  (1, '</script><img onerror=x>', 'a' || char(10) || char(8232) || '"\', NULL, 9e999),
	  (2, 'not a number', 'x', 'forty', 'north'),
	  (3, printf('%.*c', 70000, 'x'), 'too large', 1, 1)`)
	p := b.start("a")
	b.eventually("stations", func(m map[string]string) bool { return len(m) == 3 })
	got := b.topic("stations")
	var row map[string]any
	if err := json.Unmarshal([]byte(got[`{"stop_id":1}`]), &row); err != nil {
		t.Fatal(err)
	}
	if row["stop_name"] != "</script><img onerror=x>" || row["station_name"] != "a\n\u2028\"\\" || row["station_id"] != nil || row["latitude"] != nil {
		t.Errorf("row 1 is %v", row)
	}
	if !strings.Contains(got[`{"stop_id":2}`], `"station_id":"forty"`) {
		t.Errorf("row 2 is %s", got[`{"stop_id":2}`])
	}
	p.end(t)
	if s := p.Stats(); s.Refused == 0 {
		t.Error("the row of 70 kB was not refused")
	}
}

func TestATableThatIsGoneIsAnErrorAndNotADeletionOfAll(t *testing.T) {
	b := newBench(t)
	p := b.start("a")
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
	b.exec(`ALTER TABLE station_lines RENAME TO away`)
	for p.Stats().Failures == 0 {
		time.Sleep(time.Millisecond)
	}
	if s := p.Stats(); !strings.Contains(s.LastError, "station_lines") {
		t.Errorf("error %q", s.LastError)
	}
	if n := len(b.topic("station_lines")); n != 2 {
		t.Errorf("%d rows left on the topic", n)
	}
	b.exec(`ALTER TABLE away RENAME TO station_lines; INSERT INTO station_lines VALUES ('green', 5, 5)`)
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 3 })
}

func TestNewPollerRefusesWhatCannotWork(t *testing.T) {
	db := new(sql.DB)
	good := connect.PollerConfig{
		DB: db, Tables: connect.StationTables("a", "b"), Kafka: kafka.Config{Brokers: []string{"h:1"}},
		TransactionalID: "x", OffsetsTopic: "o",
	}
	changes := []func(*connect.PollerConfig){
		func(c *connect.PollerConfig) { c.DB = nil },
		func(c *connect.PollerConfig) { c.Tables = nil },
		func(c *connect.PollerConfig) { c.TransactionalID = "" },
		func(c *connect.PollerConfig) { c.OffsetsTopic = "" },
		func(c *connect.PollerConfig) { c.Kafka.Brokers = nil },
	}
	if _, err := connect.NewPoller(good); err != nil {
		t.Error(err)
	}
	for i, change := range changes {
		cfg := good
		cfg.Tables = slices.Clone(good.Tables)
		change(&cfg)
		if _, err := connect.NewPoller(cfg); err == nil {
			t.Errorf("change %d was taken", i)
		}
	}
}
