package stack

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
	"ell/internal/kafka"
	"ell/test/system"
)

const speed = "60" // some 900 events a second in the morning

// keepAll stops retention, so that the whole log can be compared.
var keepAll = []string{"--retention", "240h"}

// pipeline is the roles of ell, each a process of its own, on one cluster.
type pipeline struct {
	*cluster
	names event.Names
	roles []*role
	http  string // of the first website

	brokersFor []string // by which the roles reach the cluster
	flags      []string // further ones of roles that are added
	cl         *kgo.Client
	adm        *kadm.Client
}

type role struct {
	name string
	args []string
	proc *system.Proc
}

// start starts all roles, in the order given, on a cluster that roles reach by
// the given brokers. Each is a command with further flags; a number behind the
// command, as in process/2, tells instances apart.
func (c *cluster) start(layout event.Layout, brokers []string, roles ...string) *pipeline {
	c.t.Helper()
	p := &pipeline{cluster: c, names: event.Names{Prefix: event.DefaultPrefix, Layout: layout}, cl: c.client()}
	p.adm = kadm.NewClient(p.cl)
	p.brokersFor = brokers
	c.t.Cleanup(func() {
		for _, r := range p.roles {
			if c.t.Failed() {
				c.t.Logf("%s: %s", r.name, r.proc.Output())
			}
		}
	})
	p.add(roles...)
	return p
}

// add starts further roles.
func (p *pipeline) add(roles ...string) {
	p.t.Helper()
	for _, name := range roles {
		command, number, numbered := strings.Cut(name, "/")
		at := system.FreePorts(p.t)
		r := &role{name: name, args: append([]string{
			command, "--data", p.dir, "--http-addr", at.HTTP, "--speed", speed, "--topics", string(p.names.Layout), "--control", "on",
			"--gateway-addr", at.Gateway, "--rest-proxy", "http://" + p.port(8082),
		}, slices.Concat(p.settings(p.brokersFor), keepAll, p.flags)...)}
		switch {
		case command == "gateway" && !numbered:
			r.args = append(r.args, "--gateway-addr", p.port(8082))
		case command == "serve" && p.http == "":
			p.http = at.HTTP
		case numbered:
			r.args = append(r.args, "--instance", number)
		}
		p.roles = append(p.roles, r)
		p.run(r)
	}
}

// take takes a role out of the pipeline, still running.
func (p *pipeline) take(name string) *role {
	r := p.role(name)
	p.roles = slices.DeleteFunc(p.roles, func(o *role) bool { return o == r })
	return r
}

// balanced waits until every group of the processor is settled and has as many
// members as there are processors.
func (p *pipeline) balanced() {
	p.t.Helper()
	processors := 0
	for _, r := range p.roles {
		if strings.HasPrefix(r.name, "process") {
			processors++
		}
	}
	system.Within(p.t, 90*time.Second, func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
		defer cancel()
		groups, err := p.groups(ctx)
		if err != nil {
			return err
		}
		described, err := p.adm.DescribeGroups(ctx, groups...)
		if err != nil {
			return err
		}
		for _, g := range described.Sorted() {
			if g.State != "Stable" || len(g.Members) != processors {
				return fmt.Errorf("group %s is %s and has %d members, not %d", g.Group, g.State, len(g.Members), processors)
			}
		}
		return nil
	})
}

func (p *pipeline) run(r *role) { r.proc = system.Start(p.t, binary, r.args...) }

func (p *pipeline) role(name string) *role {
	for _, r := range p.roles {
		if r.name == name {
			return r
		}
	}
	p.t.Fatalf("there is no role %s", name)
	return nil
}

// ready waits until the website says that it has caught up.
func (p *pipeline) ready() {
	p.t.Helper()
	p.alive()
	system.Within(p.t, 3*time.Minute, func() error { p.alive(); return system.Get("http://"+p.http+"/readyz", nil) })
}

// alive fails the test if a role has ended by itself.
func (p *pipeline) alive() {
	p.t.Helper()
	for _, r := range p.roles {
		select {
		case err := <-r.proc.Done():
			p.t.Fatalf("%s ended: %v\n%s", r.name, err, r.proc.Output())
		default:
		}
	}
}

// groups are those of the processor's stages.
func (p *pipeline) groups(ctx context.Context) ([]string, error) {
	groups, err := p.adm.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	var ours []string
	for _, g := range groups.Groups() {
		if strings.HasPrefix(g, p.names.Prefix) {
			ours = append(ours, g)
		}
	}
	return ours, nil
}

// lag is how many records the processor's groups have yet to take.
func (p *pipeline) lag(ctx context.Context) (int64, error) {
	ours, err := p.groups(ctx)
	if err != nil {
		return 0, err
	}
	lags, err := p.adm.Lag(ctx, ours...)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, l := range lags {
		if err := l.Error(); err != nil {
			return 0, err
		}
		total += l.Lag.Total()
	}
	return total, nil
}

// recovered waits until the city has gone on after since, and the processor is
// less than some seconds of it behind. It returns how long after since that was.
func (p *pipeline) recovered(since time.Time, most time.Duration) time.Duration {
	p.t.Helper()
	const behind = 3000 // records: some 3 s of city at the tests' speed
	system.Within(p.t, most, func() error {
		p.alive()
		ctx, cancel := context.WithTimeout(p.t.Context(), 3*time.Second)
		defer cancel()
		clock, err := kafka.ReadTable(ctx, p.kafka(), p.names.Clock(), 0)
		if err != nil {
			return err
		}
		newest := int64(0)
		for _, r := range clock {
			newest = max(newest, r.Appended)
		}
		if newest <= since.UnixMilli() {
			return fmt.Errorf("the city stands since %v", time.Since(time.UnixMilli(newest)).Round(time.Second))
		}
		lag, err := p.lag(ctx)
		if err != nil {
			return err
		}
		if lag > behind {
			return fmt.Errorf("the processor is %d records behind", lag)
		}
		return nil
	})
	return time.Since(since)
}

// page is the website's page of a line.
func (p *pipeline) page(path string) string {
	text, err := system.Page("http://" + p.http + path)
	if err != nil {
		return err.Error()
	}
	return text
}

// sql runs a statement on the stations' database.
func (c *cluster) sql(statement string, args ...any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	db, err := pgx.Connect(ctx, strings.Replace(c.postgres(), "@", ":"+postgresPassword+"@", 1))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, statement, args...); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

// row adds a station with that name and waits until the page shows it; then it
// takes it away again and waits until the page has lost it.
func (p *pipeline) row(name string) (shown, gone time.Duration) {
	p.t.Helper()
	p.sql(`INSERT INTO stations (stop_id, direction_id, stop_name, station_name, station_id, "order", red) VALUES (39999, 'S', 'New', $1, 49990, 99, true)`, name)
	p.sql(`INSERT INTO station_lines (line, station_id, "order") VALUES ('red', 49990, 99)`)
	begun := time.Now()
	system.Within(p.t, 90*time.Second, func() error {
		if !strings.Contains(p.page("/line/red"), name) {
			return fmt.Errorf("%s is not on the page", name)
		}
		return nil
	})
	shown = time.Since(begun)
	p.sql(`DELETE FROM station_lines WHERE station_id = 49990`)
	p.sql(`DELETE FROM stations WHERE station_id = 49990`)
	begun = time.Now()
	system.Within(p.t, 90*time.Second, func() error {
		if strings.Contains(p.page("/line/red"), name) {
			return fmt.Errorf("%s is still on the page", name)
		}
		return nil
	})
	return shown, time.Since(begun)
}

// ask asks the cluster until it answers: one that has just lost a broker, or got
// it back, may not know for a while. An answer that says as much is an error.
func ask[T any](p *pipeline, question func(context.Context) (T, error)) (answer T) {
	p.t.Helper()
	system.Within(p.t, 30*time.Second, func() (err error) {
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
		defer cancel()
		answer, err = question(ctx)
		return err
	})
	return answer
}

// leader is the broker that leads a partition, as a part's name.
func (p *pipeline) leader(topic string, partition int32) string {
	p.t.Helper()
	return ask(p, func(ctx context.Context) (string, error) {
		topics, err := p.adm.ListTopics(ctx, topic)
		if err != nil {
			return "", err
		}
		part := topics[topic].Partitions[partition]
		if part.Err != nil || part.Leader < 0 {
			return "", fmt.Errorf("%s/%d has no leader: %w", topic, partition, part.Err)
		}
		return fmt.Sprintf("kafka-%d", part.Leader), nil
	})
}

// inSync waits until no partition lacks a replica.
func (p *pipeline) inSync(most time.Duration) {
	p.t.Helper()
	system.Within(p.t, most, func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
		defer cancel()
		all, err := p.adm.Metadata(ctx)
		if err != nil {
			return err
		}
		lacking := 0
		for _, t := range all.Topics {
			for _, part := range t.Partitions {
				if len(part.ISR) < p.brokers {
					lacking++
				}
			}
		}
		if lacking > 0 {
			return fmt.Errorf("%d partitions lack a replica", lacking)
		}
		return nil
	})
}

// finish pauses the city, holds the log against the undisturbed one and every
// total against the log, proves that no transaction hangs, and stops all roles.
func (p *pipeline) finish() int {
	p.t.Helper()
	system.Clock(p.t, system.Ports{HTTP: p.http}, `{"paused":true}`)
	n := system.Verify(p.t, p.kafka(), p.registry(), p.names)
	p.alive()
	for _, r := range p.roles {
		p.t.Logf("%-10s %3d MB", r.name, resident(r.proc.PID())>>20)
	}
	for _, r := range p.roles {
		r.proc.Stop()
	}
	p.noneHangs()
	return n
}

// noneHangs waits until no coordinator thinks a transaction open: once all
// clients have ended, the last ones may still be on their way to their end.
func (p *pipeline) noneHangs() {
	p.t.Helper()
	system.Within(p.t, 10*time.Second, func() error {
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
		defer cancel()
		open, err := p.adm.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
		if err == nil && len(open) > 0 {
			err = fmt.Errorf("transactions hang: %v", open.TransactionalIDs())
		}
		return err
	})
}

// resident is the memory of a process, in bytes.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var total, pages int64
	if _, err := fmt.Sscan(string(b), &total, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func TestThePipelineRunsOnRealKafkaAndOutlivesABroker(t *testing.T) {
	c := startCluster(t, 3)
	begun := time.Now()
	// Any order will do: those who read wait for those who write.
	p := c.start(event.PerStation, c.bootstrap(), "serve", "process", "stations", "gateway", "simulate")
	p.ready()
	t.Logf("the website has caught up after %v", time.Since(begun).Round(100*time.Millisecond))
	shown, gone := p.row("99th and Nowhere")
	t.Logf("a row in PostgreSQL that came while the connector was starting is on the page after %v, off it %v after it was deleted", shown.Round(time.Millisecond), gone.Round(time.Millisecond))
	shown, gone = p.row("100th and Nowhere")
	t.Logf("a row in PostgreSQL is on the page after %v, off it %v after it was deleted", shown.Round(time.Millisecond), gone.Round(time.Millisecond))

	victim := p.leader(p.names.Summary(), 0)
	c.signal(victim, syscall.SIGKILL)
	t.Logf("killed %s, which led the totals: work goes on after %v", victim, p.recovered(time.Now(), time.Minute).Round(100*time.Millisecond))
	c.up("kafka")
	p.inSync(time.Minute)
	t.Logf("%d records on the log are the undisturbed city's, and all totals follow", p.finish())
}
