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
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

// perRestart is how many entries wait for a contestant that starts again, each
// of another station.
const perRestart = 1200

// phoenix is a contestant of restoring.
type phoenix struct {
	contestant
	wipe bool // the folder of local state is lost with the process
	said *regexp.Regexp
}

func phoenixes() []phoenix {
	all := contestants()
	ell := all[slices.IndexFunc(all, func(c contestant) bool { return c.name == "Ell" })]
	ell.form = "from its changelog"
	ks := func(store, state string, wipe bool) phoenix {
		return phoenix{
			contestant: contestant{
				name: "Kafka Streams", form: store + ", local state " + state, guarantee: exactlyOnce, output: groupOutput, own: groupTopics,
				others:  func(group string) []event.TopicSpec { return changelogs(group, "totals") },
				command: kafkaStreams("Totals", store+"-each"),
			},
			wipe: wipe, said: regexp.MustCompile(`restored (\d+) records in (\d+ms|\d+ ms)`),
		}
	}
	return []phoenix{
		{contestant: ell, wipe: true, said: regexp.MustCompile(`state restored.*stage=\S*turnstiles .*records=(\d+) took=(\S+)`)},
		ks("rocksdb", "lost", true), ks("rocksdb", "kept", false), ks("memory", "lost", true),
	}
}

// comeback is one restart of a contestant.
type comeback struct {
	Part, Name, Form string
	Run              int
	Keys             int
	Seconds          float64 // from exec to the first output committed
	All              float64 // from exec to the last
	Restore          float64 // of these, by its own account
	Records          int64   // that it read for it
	PeakMB           float64
}

func (b *bench) restore(ctx context.Context) error {
	var all []comeback
	for _, c := range phoenixes() {
		if !b.only.MatchString(c.title()) {
			continue
		}
		rs, err := b.runRestore(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.title(), err)
		}
		all = append(all, rs...)
	}
	b.restoreTable(all)
	return nil
}

func (b *bench) runRestore(ctx context.Context, c phoenix) (all []comeback, err error) {
	prefix := "restore" + strconv.Itoa(b.events) + "."
	names := event.Names{Prefix: prefix, Layout: event.Shared}
	input := names.Turnstiles(0, "")
	group := "restore-" + strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(c.title())) + "-" + strconv.FormatInt(time.Now().Unix(), 36)
	if c.name == "Ell" {
		group = prefix + "turnstiles"
	}
	out, data := c.output(group), filepath.Join(b.work, "state-"+group)
	defer os.RemoveAll(data)
	clean := func() error {
		if err := b.removeGroup(ctx, group); err != nil {
			return err
		}
		return b.removeMatching(ctx, func(t string) bool { return c.own(t, group) })
	}
	if err := clean(); err != nil {
		return nil, err
	}
	if err := errors.Join(b.remake(ctx, inputTopic, event.Partitions, input), b.remake(ctx, outputTopic, event.Partitions, out),
		b.prepare(ctx, c.others(group))); err != nil {
		return nil, err
	}
	if err := b.enter(ctx, input, b.events, 0); err != nil {
		return nil, err
	}
	env := []string{"BROKERS=" + strings.Join(b.brokers, ","), "REGISTRY=" + b.registry.URL(), "INPUT=" + input, "OUTPUT=" + out,
		"GROUP=" + group, "DATA=" + data, "INSTANCE=bench"}
	start := func() (*proc, error) { return b.start(group, env, c.command(b, prefix)...) }
	p, err := start()
	if err != nil {
		return nil, err
	}
	total := b.events
	only := regexp.MustCompile("^" + regexp.QuoteMeta(input) + "$")
	for run := 0; ; run++ {
		if err := b.awaitInput(ctx, p, group, only, int64(total)); err != nil {
			p.stop(syscall.SIGKILL)
			return nil, err
		}
		if run > 0 {
			r, err := b.comeback(ctx, c, p, out, run)
			if err != nil {
				p.stop(syscall.SIGKILL)
				return nil, err
			}
			all = append(all, r)
		}
		sleep(ctx, time.Second) // nothing is under way any more
		p.stop(syscall.SIGKILL)
		if run == b.runs {
			return all, clean()
		}
		if c.wipe {
			if err := os.RemoveAll(data); err != nil {
				return nil, err
			}
		}
		if b.before, err = b.ends(ctx, out); err != nil {
			return nil, err
		}
		if err := b.enter(ctx, input, perRestart, run+1); err != nil {
			return nil, err
		}
		total += perRestart
		b.begun = time.Now()
		if p, err = start(); err != nil {
			return nil, err
		}
	}
}

// comeback looks at what a restarted contestant has written since.
func (b *bench) comeback(ctx context.Context, c phoenix, p *proc, out string, run int) (comeback, error) {
	r := comeback{Part: "restore", Name: c.name, Form: c.form, Run: run, Keys: b.events}
	got := totals{counts: truth{}}
	var first int64
	for len(got.counts) < perRestart {
		if err := p.ended(); err != nil {
			return r, err
		}
		got.counts, first = truth{}, 0
		var err error
		got.outputs, err = b.readOutputs(ctx, out, b.before, func(k *kgo.Record) error {
			if at := k.Timestamp.UnixMilli(); first == 0 || at < first {
				first = at
			}
			return got.take(k)
		})
		if err != nil {
			return r, err
		}
	}
	for s, n := range got.counts {
		if n != int64(run)+1 || s > perRestart {
			return r, fmt.Errorf("wrong result: %d entries at station %d after restart %d, not %d", n, s, run, run+1)
		}
	}
	r.Seconds, r.All = float64(first-b.begun.UnixMilli())/1000, float64(got.last-b.begun.UnixMilli())/1000
	p.look()
	r.PeakMB = float64(p.peakSoFar()) / (1 << 20)
	text, err := os.ReadFile(p.log)
	if err != nil {
		return r, err
	}
	if said := c.said.FindAllSubmatch(text, -1); len(said) > 0 {
		m := said[len(said)-1]
		r.Records, _ = strconv.ParseInt(string(m[1]), 10, 64)
		took, err := time.ParseDuration(strings.ReplaceAll(string(m[2]), " ", ""))
		if err != nil {
			return r, fmt.Errorf("understand %q: %w", m[0], err)
		}
		r.Restore = took.Seconds()
	}
	log.Printf("%-40s restart %d: goes on after %.2f s (all after %.2f s, restored %d records in %.2f s, peak %.0f MB)", c.title(), run, r.Seconds, r.All, r.Records, r.Restore, r.PeakMB)
	b.logRaw(r)
	return r, nil
}

// enter loads n entries, each of another station, from station 1 on.
func (b *bench) enter(ctx context.Context, topic string, n, round int) error {
	at := time.Date(2026, 4, 14, 4, 0, round, 0, time.UTC).UnixMilli()
	failed := make(chan error, 1)
	for s := int32(1); s <= int32(n); s++ {
		b.cl.Produce(ctx, &kgo.Record{
			Topic: topic, Partition: event.StationPartition(s), Key: b.enc.AppendTurnstileKey(nil, s, at),
			Value: b.enc.AppendTurnstile(nil, &event.Turnstile{StationID: s, Timestamp: at, StationName: "Synthetic", Line: "red"}),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := b.cl.Flush(ctx); err != nil {
		return fmt.Errorf("load %s: %w", topic, err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("load %s: %w", topic, err)
	default:
		return nil
	}
}

// ends are the offsets behind the last committed record of each partition.
func (b *bench) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	ends, err := b.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("look up the end of %s: %w", topic, err)
	}
	out := map[int32]int64{}
	for p, o := range ends[topic] {
		out[p] = o.Offset
	}
	return out, nil
}

func (b *bench) restoreTable(all []comeback) {
	fmt.Printf("\nRestore after kill -9: seconds from exec to the first output committed\n%s\n\n", b.machine())
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "contestant\tform\tkeys\truns\tmedian s\tmin s\tmax s\tall s\tof it restore s\tpeak MB\tEll is\t")
	var ell float64
	for len(all) > 0 {
		c := all[0]
		var secs, done, own []float64
		for i := 0; i < len(all); {
			if all[i].Name != c.Name || all[i].Form != c.Form {
				i++
				continue
			}
			secs, done, own = append(secs, all[i].Seconds), append(done, all[i].All), append(own, all[i].Restore)
			c.PeakMB = max(c.PeakMB, all[i].PeakMB)
			all = slices.Delete(all, i, i+1)
		}
		slices.Sort(secs)
		slices.Sort(done)
		slices.Sort(own)
		if c.Name == "Ell" {
			ell = median(secs)
		}
		ratio := "-"
		if ell > 0 {
			ratio = fmt.Sprintf("%.1f x", median(secs)/ell)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%s\t\n", c.Name, c.Form, c.Keys, len(secs), median(secs),
			secs[0], secs[len(secs)-1], median(done), median(own), c.PeakMB, ratio)
	}
	_ = t.Flush()
}
