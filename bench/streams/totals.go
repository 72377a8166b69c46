package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ell/internal/event"
)

// contestant is one way of counting the entries.
type contestant struct {
	name, form string
	guarantee  string
	share      int  // it gets one in share of the records, when it is too slow for all
	bare       bool // it joins no group, measures itself, and prints its counts
	// output is its topic of totals, by the name of the run.
	output func(group string) string
	// own says which topics are its own, to be deleted before and after.
	own func(topic, group string) bool
	// others are the topics it needs beside input and output. They stand before it
	// starts, so that nobody's clock runs while the broker makes them.
	others func(group string) []event.TopicSpec
	// command makes what to run.
	command func(b *bench, prefix string) []string
}

const (
	exactlyOnce = "exactly once"
	atLeastOnce = "at least once"
)

func groupOutput(group string) string      { return group + ".totals" }
func groupTopics(topic, group string) bool { return strings.HasPrefix(topic, group) }
func tableOutput(group string) string      { return group + "-table" }
func (c contestant) title() string         { return c.name + ", " + c.form }
func (b *bench) goTool(name string) string { return filepath.Join(b.goBin, name) }
func kafkaStreams(class, form string) func(*bench, string) []string {
	return func(b *bench, _ string) []string {
		return []string{"java", "-Xms512m", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-cp", filepath.Join(b.java, "*"), "bench." + class, form}
	}
}

func goContestant(tool string, args ...string) func(*bench, string) []string {
	return func(b *bench, _ string) []string { return append([]string{b.goTool(tool)}, args...) }
}

// changelogs are the topics that Kafka Streams keeps stores in.
func changelogs(group string, stores ...string) (specs []event.TopicSpec) {
	for _, s := range stores {
		specs = append(specs, event.TopicSpec{Name: group + "-" + s + "-changelog", Partitions: event.Partitions, Compact: true})
	}
	return specs
}

// contestants of the totals, Ell first: the others are compared with it.
func contestants() []contestant {
	ks := func(form string) contestant {
		return contestant{
			name: "Kafka Streams", form: form, guarantee: exactlyOnce, output: groupOutput, own: groupTopics,
			others: func(group string) []event.TopicSpec {
				specs := changelogs(group, "totals")
				if form == "dsl" {
					specs = append(specs, event.TopicSpec{Name: group + "-totals-repartition", Partitions: event.Partitions, Delete: true, RetentionMS: -1})
				}
				return specs
			},
			command: kafkaStreams("Totals", form),
		}
	}
	return []contestant{
		{
			name: "Ell", form: "ell process", guarantee: exactlyOnce,
			output: func(group string) string {
				return event.Names{Prefix: strings.TrimSuffix(group, "turnstiles")}.Summary()
			},
			own: func(topic, group string) bool {
				prefix := strings.TrimSuffix(group, "turnstiles")
				return strings.HasPrefix(topic, prefix) && topic != prefix+"turnstiles.v1"
			},
			others: func(group string) []event.TopicSpec {
				n := event.Names{Prefix: strings.TrimSuffix(group, "turnstiles"), Layout: event.Shared}
				return slices.DeleteFunc(n.Specs(nil, event.ClusterRetention()), func(s event.TopicSpec) bool {
					return s.Name == n.Turnstiles(0, "") || s.Name == n.Summary()
				})
			},
			command: func(b *bench, prefix string) []string {
				return []string{b.ell, "process", "--brokers", strings.Join(b.brokers, ","), "--registry", b.registry.URL(),
					"--topics", "shared", "--prefix", prefix, "--instance", "bench", "--log", "info"}
			},
		},
		{name: "franz-go", form: "bare reader", guarantee: "none", bare: true, command: goContestant("bare", "read")},
		{name: "franz-go", form: "transactions", guarantee: exactlyOnce + ", but no restore", output: groupOutput, own: groupTopics, command: goContestant("bare", "transact")},
		ks("dsl"), ks("rocksdb"), ks("memory"), ks("fastest"),
		{name: "Goka", form: "idiomatic", guarantee: atLeastOnce, share: 5, output: tableOutput, own: groupTopics, command: goContestant("goka", "idiomatic")},
		{name: "Goka", form: "fastest", guarantee: atLeastOnce, share: 5, output: tableOutput, own: groupTopics, command: goContestant("goka", "fastest")},
		{
			name: "Faust", form: "idiomatic", guarantee: atLeastOnce, share: 50, output: groupOutput, own: groupTopics,
			command: func(b *bench, _ string) []string {
				return []string{b.python, filepath.Join(b.here, "faust", "totals.py"), "worker", "--loglevel", "warn", "--without-web"}
			},
		},
	}
}

// result is one run of one contestant.
type result struct {
	Part      string
	Name      string
	Form      string
	Guarantee string
	Run       int
	Events    int64
	Seconds   float64
	PerSecond float64
	CPU       float64 // seconds
	PeakMB    float64
	Outputs   int64 // records on the topic of results
	Commits   int64 // the most transactions on one partition of it
}

// warmRuns is how often the bare loop with transactions runs before anything counts.
// The broker's Java compiles a path for good after some ten thousand calls, on a core
// that shares more than memory with the contestant's: the first contestants met a
// broker that was slower by a third than the one the last met.
const warmRuns = 10

func (b *bench) totals(ctx context.Context) error {
	field := contestants()
	bare := field[slices.IndexFunc(field, func(c contestant) bool { return c.form == "transactions" })]
	for range warmRuns {
		if _, err := b.runTotals(ctx, bare, 0, b.events); err != nil {
			return fmt.Errorf("warm the broker up: %w", err)
		}
	}
	return measure(ctx, b, "Turnstile totals", field, func(c contestant, run int) (result, error) {
		return b.runTotals(ctx, c, run, b.events/max(c.share, 1))
	})
}

// measure runs each of those that were chosen in turn, as often as was asked, and prints their table.
func measure[C interface{ title() string }](ctx context.Context, b *bench, heading string, field []C, once func(c C, run int) (result, error)) error {
	var all []result
	var failed error // of one contestant; the others' figures stand all the same
	for run := 1; run <= b.runs; run++ {
		for _, c := range field {
			if !b.only.MatchString(c.title()) {
				continue
			}
			r, err := once(c, run)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				log.Printf("%-40s run %d: %v", c.title(), run, err)
				failed = errors.Join(failed, fmt.Errorf("%s: %w", c.title(), err))
				continue
			}
			log.Printf("%-40s run %d: %9.0f/s  (%d in %.2f s, CPU %.1f s, peak %.0f MB)", c.title(), run, r.PerSecond, r.Events, r.Seconds, r.CPU, r.PeakMB)
			b.logRaw(r)
			all = append(all, r)
		}
	}
	b.table(os.Stdout, heading, all)
	return failed
}

func (b *bench) runTotals(ctx context.Context, c contestant, run, events int) (result, error) {
	prefix := "bench" + strconv.Itoa(events) + "."
	input, want, err := b.loadTurnstiles(ctx, prefix, events)
	if err != nil {
		return result{}, err
	}
	// Every run has a group of its own; Ell names its group itself.
	group := strings.ToLower(strings.NewReplacer(" ", "-", ",", "", "(", "", ")", "").Replace(c.title())) + "-" + strconv.FormatInt(time.Now().Unix(), 36)
	if c.name == "Ell" {
		group = prefix + "turnstiles"
	}
	data := filepath.Join(b.work, "state-"+group)
	defer os.RemoveAll(data)
	env := []string{"BROKERS=" + strings.Join(b.brokers, ","), "REGISTRY=" + b.registry.URL(), "INPUT=" + input, "GROUP=" + group,
		"DATA=" + data, "EVENTS=" + strconv.Itoa(events)}
	res := result{Part: "totals", Name: c.name, Form: c.form, Guarantee: c.guarantee, Run: run, Events: int64(events)}
	if c.bare {
		return res, b.runBare(ctx, c, prefix, env, want, &res)
	}
	clean := func(ctx context.Context) error {
		if err := b.removeGroup(ctx, group); err != nil {
			return err
		}
		return b.removeMatching(ctx, func(t string) bool { return c.own(t, group) })
	}
	if err := clean(ctx); err != nil {
		return res, err
	}
	out := c.output(group)
	if err := b.remake(ctx, outputTopic, 12, out); err != nil {
		return res, err
	}
	env = append(env, "OUTPUT="+out)
	if c.others != nil {
		if err := b.prepare(ctx, c.others(group)); err != nil {
			return res, err
		}
	}
	p, err := b.start(group, env, c.command(b, prefix)...)
	if err != nil {
		return res, err
	}
	begun, err := b.awaitGroup(ctx, p, group)
	if err == nil {
		err = b.awaitInput(ctx, p, group, regexp.MustCompile("^"+regexp.QuoteMeta(input)+"$"), int64(events))
	}
	var got totals
	for err == nil {
		if got, err = b.readTotals(ctx, out); err != nil || got.counts.sum() >= want.sum() {
			break
		}
		sleep(ctx, 100*time.Millisecond)
		err = p.ended()
	}
	u := p.stop(syscall.SIGTERM)
	if err != nil {
		return res, err
	}
	if err := got.compare(want); err != nil {
		return res, err
	}
	res.Seconds = float64(got.last-begun.UnixMilli()) / 1000
	res.PerSecond = float64(events) / res.Seconds
	res.CPU, res.PeakMB = u.CPU.Seconds(), float64(u.Peak)/(1<<20)
	res.Outputs, res.Commits = got.records, got.commits
	return res, clean(ctx)
}
