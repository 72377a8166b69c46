package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/connect"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/postgres"
	"ell/test/system"
)

// onPage is how long a change in the database may take to be on the page. Half
// of them are held to it: a test shares its machine with others.
const onPage = 2 * time.Second

// feed is the station topics as they grow, seen by a consumer of the test's own.
type feed struct {
	t    *testing.T
	mu   sync.Mutex // guards last
	last map[string]map[string]fed
}

// fed is the newest record of a key: when it was received, and its value, nil
// for a tombstone.
type fed struct {
	at    time.Time
	value []byte
}

func (p *pipeline) feed() *feed {
	p.t.Helper()
	f := &feed{t: p.t, last: map[string]map[string]fed{p.names.Stations(): {}, p.names.StationLines(): {}}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.bootstrap()...), kgo.ConsumeTopics(p.names.Stations(), p.names.StationLines()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.last[r.Topic][string(r.Key)] = fed{time.Now(), r.Value}
			})
		}
	}()
	p.t.Cleanup(func() { stop(); <-done; cl.Close() })
	return f
}

// await waits for a record of that key, received after since, that holds want;
// "" for a tombstone. It returns how long after since it came.
func (f *feed) await(topic, key, want string, since time.Time) time.Duration {
	f.t.Helper()
	var r fed
	system.Within(f.t, 90*time.Second, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		r = f.last[topic][key]
		if r.at.Before(since) || (want == "") != (r.value == nil) || !strings.Contains(string(r.value), want) {
			return fmt.Errorf("%s of %s is %s, not %s", key, topic, r.value, want)
		}
		return nil
	})
	return r.at.Sub(since)
}

// awaitPage waits until the red line's page is as ok wants it, looking every 10 ms.
func (p *pipeline) awaitPage(what string, since time.Time, ok func(page string) bool) time.Duration {
	p.t.Helper()
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if ok(p.page("/line/red")) {
			return time.Since(since)
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s: not on the page", what)
		}
	}
}

// change is a statement, the record that it must lead to, and what the page must show.
type change struct {
	what, sql        string
	topic, key, want string
	page             func(page string) bool
}

const (
	stopKey = `{"stop_id":39998}`
	linkKey = `{"line":"red","station_id":49998}`
)

func (p *pipeline) changes() []change {
	has := func(name string) func(string) bool {
		return func(page string) bool { return strings.Contains(page, name) }
	}
	stops, links := p.names.Stations(), p.names.StationLines()
	return []change{
		{
			"insert", `INSERT INTO station_lines VALUES ('red', 49998, 99);
				INSERT INTO stations (stop_id, direction_id, stop_name, station_name, station_id, "order", red) VALUES (39998, 'S', 'Quay (SB)', 'Quay & Dock', 49998, 99, true)`,
			stops, stopKey, `"stop_name":"Quay (SB)"`, has("Quay &amp; Dock"),
		},
		{
			"update", `UPDATE station_lines SET "order" = -1 WHERE station_id = 49998`, links, linkKey, `"order":-1`,
			func(page string) bool {
				at := strings.Index(page, "Quay")
				return at >= 0 && at < strings.Index(page, "Morse")
			},
		},
		{"rename", `UPDATE stations SET station_name = 'Pier' WHERE stop_id = 39998`, stops, stopKey, `"station_name":"Pier"`, has("Pier")},
		{"NULL", `UPDATE stations SET direction_id = NULL, "order" = NULL, red = NULL, station_name = 'Mole' WHERE stop_id = 39998`, stops, stopKey, `"order":null,"red":null`, has("Mole")},
		{
			"NULL where none may be", `UPDATE stations SET station_name = NULL WHERE stop_id = 39998`, stops, stopKey, `"station_name":null`,
			has("Mole"), // the row is set aside, and the last good name stands
		},
		{
			"delete", `DELETE FROM station_lines WHERE station_id = 49998; DELETE FROM stations WHERE stop_id = 39998`, stops, stopKey, "",
			func(page string) bool { return !strings.Contains(page, "Mole") && strings.Contains(page, "Howard") },
		},
	}
}

// measured makes every kind of change and says how long each took to the topic and to the page.
func (p *pipeline) measured(f *feed, by string) {
	p.t.Helper()
	var pages []time.Duration
	for _, c := range p.changes() {
		p.sql(c.sql)
		begun := time.Now()
		page := p.awaitPage(c.what, begun, c.page)
		topic := f.await(c.topic, c.key, c.want, begun.Add(-time.Second)) - time.Second
		p.t.Logf("%s: %-24s on the topic after %4d ms, on the page after %4d ms", by, c.what, topic.Milliseconds(), page.Milliseconds())
		pages = append(pages, page)
	}
	slices.Sort(pages)
	if median := pages[len(pages)/2]; median > onPage {
		p.t.Errorf("%s: half of the changes took %v or longer to the page, want at most %v", by, median, onPage)
	}
	if n := p.deadLetters(); n == 0 {
		p.t.Error("the row without a name is not among the dead letters")
	}
}

func (p *pipeline) deadLetters() int {
	p.t.Helper()
	n := 0
	table, err := kafka.ReadTable(p.t.Context(), p.kafka(), p.names.DeadLetter(), 0)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range table {
		if bytes.Contains(r.Value, []byte(`"stop_id":39998`)) {
			n++
		}
	}
	return n
}

// admin runs a statement as the database's administrator.
func (c *cluster) admin(statement string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, "postgres://postgres:"+postgresPassword+"@"+c.port(5432)+"/cta")
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statement); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

// stations starts the station source anew with further flags.
func (p *pipeline) stations(flags ...string) {
	p.t.Helper()
	r := p.role("stations")
	r.proc.Stop()
	r.args = append(r.args, flags...)
	p.run(r)
}

// told says whether the station source has said words since then.
func (p *pipeline) told(words string, since time.Time) bool {
	for line := range strings.Lines(p.role("stations").proc.Output()) {
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		if err == nil && at.After(since) && strings.Contains(line, words) {
			return true
		}
	}
	return false
}

// down kills a part of the stack and waits until nothing listens at its port.
func (c *cluster) down(part string, port int) {
	c.t.Helper()
	c.signal(part, syscall.SIGKILL)
	system.Within(c.t, 30*time.Second, func() error {
		conn, err := net.DialTimeout("tcp", c.port(port), time.Second)
		if err != nil {
			return nil //nolint:nilerr // that nobody answers is what is waited for
		}
		conn.Close()
		return fmt.Errorf("%s still listens", part)
	})
}

// streams waits until Debezium has read the tables and reads on.
func (p *pipeline) streams(slot string) {
	p.t.Helper()
	db, err := postgres.Config{URL: p.postgres(), Password: postgresPassword}.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	system.Within(p.t, 60*time.Second, func() error { return postgres.CheckSlot(p.t.Context(), db, slot) })
}

// again starts what has been killed. On a busy machine a part may take longer
// than the script waits.
func (c *cluster) again() {
	c.t.Helper()
	system.Within(c.t, 5*time.Minute, func() error {
		if out, err := c.script("up"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// equal holds the topics against the tables.
func (p *pipeline) equal() {
	p.t.Helper()
	db, err := postgres.Config{URL: p.postgres(), Password: postgresPassword}.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	for _, t := range connect.StationTables(p.names.Stations(), p.names.StationLines()) {
		want := map[string]bool{}
		rows, err := db.QueryContext(p.t.Context(), `SELECT to_jsonb(t) #>> '{}' FROM `+t.Name+` t`)
		if err != nil {
			p.t.Fatal(err)
		}
		for rows.Next() {
			var row string
			if err := rows.Scan(&row); err != nil {
				p.t.Fatal(err)
			}
			want[canonical(p.t, []byte(row))] = true
		}
		rows.Close()
		have := map[string]bool{}
		table, err := kafka.ReadTable(p.t.Context(), p.kafka(), t.Topic, 0)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, r := range table {
			have[canonical(p.t, r.Value)] = true
		}
		if len(want) < 100 || !reflect.DeepEqual(have, want) {
			p.t.Errorf("table %s has %d rows, its topic %d, and they are not the same", t.Name, len(want), len(have))
		}
	}
}

func canonical(t *testing.T, row []byte) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(row, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (p *pipeline) ask(method, path string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.connect()+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

const connector = event.DefaultPrefix + "stations-source"

// TestChangesInPostgreSQLAreOnThePage makes every kind of change in a real
// database, read by Debezium and then by ell itself, and breaks what brings
// them: the connection, the connector, its slot, its rights, the worker, the database.
func TestChangesInPostgreSQLAreOnThePage(t *testing.T) {
	long(t)
	c := startCluster(t, 1)
	p := c.start(event.Shared, c.bootstrap(), "gateway", "stations", "process", "simulate", "serve")
	p.ready()
	f := p.feed()
	p.awaitPage("the first rows", time.Now(), func(page string) bool { return strings.Contains(page, "Howard") })
	f.await(p.names.Stations(), `{"stop_id":30173}`, "Howard", time.Time{})
	slot := connect.Debezium{Stations: p.names.Stations()}.Slot()
	p.streams(slot)
	p.measured(f, "Debezium")

	cut := `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '` + slot + `' AND active`
	n := 0
	// broken breaks something, changes rows while it is broken, and measures from
	// its mending until the page has the change.
	broken := func(what string, brk func(), words string, mend func()) {
		t.Helper()
		begun := time.Now()
		brk()
		system.Within(t, 90*time.Second, func() error {
			if words != "" && !p.told(words, begun) {
				return fmt.Errorf("%s: the source does not say %q but %s", what, words, p.role("stations").proc.Output())
			}
			return nil
		})
		mend()
		mended := time.Now()
		n++
		name := fmt.Sprintf("Halt %d", n)
		p.sql(`UPDATE stations SET station_name = $1 WHERE station_id = 41190`, name) // Jarvis
		took := p.awaitPage(what, mended, func(page string) bool { return strings.Contains(page, name) })
		t.Logf("%-34s mended: a change is on the page after %v", what, took.Round(10*time.Millisecond))
	}
	none := func() {}
	broken("the connection is cut", func() { p.admin(cut) }, "", none)
	broken("the connector is deleted", func() { p.ask(http.MethodDelete, "/connectors/"+connector) }, "", none)
	broken("the connector's right is taken away", func() {
		p.admin(`ALTER ROLE cta_admin NOREPLICATION`)
		p.admin(cut)
	}, "ALTER ROLE … REPLICATION", func() { p.admin(`ALTER ROLE cta_admin REPLICATION`) })
	broken("the worker is killed", func() { p.down("connect", 8083) }, "ask kafka connect", p.again)
	broken("the database is killed", func() { p.down("postgres", 5432) }, "PostgreSQL", p.again)

	// While the slot is gone a row is deleted, which no log tells afterwards.
	p.sql(`INSERT INTO stations (stop_id, station_name, station_id) VALUES (39997, 'Ghost', 41190)`)
	f.await(p.names.Stations(), `{"stop_id":39997}`, "Ghost", time.Time{})
	p.ask(http.MethodPut, "/connectors/"+connector+"/stop")
	system.Within(t, 30*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		db, err := pgx.Connect(ctx, "postgres://postgres:"+postgresPassword+"@"+p.port(5432)+"/cta")
		if err != nil {
			return err
		}
		defer db.Close(ctx)
		_, err = db.Exec(ctx, `SELECT pg_drop_replication_slot($1)`, slot)
		return err
	})
	p.sql(`DELETE FROM stations WHERE stop_id = 39997`)
	begun := time.Now()
	broken("the replication slot is dropped", none, "", func() { p.ask(http.MethodPut, "/connectors/"+connector+"/resume") })
	took := f.await(p.names.Stations(), `{"stop_id":39997}`, "", begun)
	t.Logf("a row deleted while nobody read has its tombstone after %v", took.Round(10*time.Millisecond))
	p.equal()

	p.stations("--connect", "")
	p.ask(http.MethodDelete, "/connectors/"+connector)
	p.measured(f, "polling")
	p.equal()
	p.alive()
	// The word stands in the topics' names as well: as a password it stands alone.
	shown := regexp.MustCompile(`(^|[^.\w])` + postgresPassword + `([^.\w]|$)`)
	for _, r := range p.roles {
		if shown.MatchString(r.proc.Output()) || shown.MatchString(strings.Join(r.args, " ")) {
			t.Errorf("%s shows the database's password", r.name)
		}
	}
}
