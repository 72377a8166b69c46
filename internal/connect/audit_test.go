package connect_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/connect"
)

// audited runs an audit of the bench's tables, every 20 ms, until the test ends.
func (b *bench) audited(flows *atomic.Bool) {
	b.t.Helper()
	db := b.open()
	a, err := connect.NewAudit(connect.AuditConfig{
		DB: db, Tables: connect.StationTables("stations", "station_lines"), Kafka: b.cfg, Every: 20 * time.Millisecond, Flows: flows.Load,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	// SQLite has no LOCK TABLE; a write that changes nothing takes its lock.
	connect.SetLock(a, `UPDATE %s SET "order" = "order" WHERE false`)
	ctx, stop := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
		db.Close()
	})
}

// put writes records as a connector would.
func (b *bench) put(records ...*kgo.Record) {
	b.t.Helper()
	cl, err := b.cfg.New()
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func line(key, value string) *kgo.Record {
	r := &kgo.Record{Topic: "station_lines", Key: []byte(key)}
	if value != "" {
		r.Value = []byte(value)
	}
	return r
}

func TestAnAuditSendsWhatTheConnectorMissed(t *testing.T) {
	b := newBench(t)
	b.put(
		line(`{"line":"red","station_id":40900}`, `{"order": 0, "line": "red", "station_id": 40900}`),  // right, in other words
		line(`{"line":"yellow","station_id":40900}`, `{"line":"yellow","station_id":40900,"order":7}`), // an old order
		line(`{"line":"blue","station_id":1}`, `{"line":"blue","station_id":1,"order":0}`),             // deleted while nobody read
	)
	var flows atomic.Bool
	flows.Store(true)
	b.audited(&flows)
	b.eventually("station_lines", func(m map[string]string) bool {
		return len(m) == 2 && m[`{"line":"yellow","station_id":40900}`] == `{"line":"yellow","station_id":40900,"order":2}`
	})
	b.eventually("stations", func(m map[string]string) bool { return len(m) == 1 })
	if n := b.records("station_lines"); n != 5 { // three, and what differed: a row and a tombstone
		t.Errorf("%d records, want 5", n)
	}
}

func TestAnAuditLeavesAloneWhatTheConnectorHasYetToSend(t *testing.T) {
	b := newBench(t)
	var flows atomic.Bool
	b.audited(&flows)
	time.Sleep(200 * time.Millisecond) // ten looks at what is not there yet; nothing tells that nothing happens
	if n := b.records("station_lines") + b.records("stations"); n != 0 {
		t.Errorf("%d records were sent though the connector does not run", n)
	}
	flows.Store(true)
	b.eventually("station_lines", func(m map[string]string) bool { return len(m) == 2 })
}
