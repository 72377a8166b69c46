package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/cta"
	"ell/internal/event"
)

// rail is a contestant of the train positions.
type rail struct {
	contestant
	layout event.Layout
	// groups are the consumer group of the arrivals and, where they are brought together by line first, that of the topic by line and its name.
	groups  func(b *bench, prefix, group string) (first, second, byLine string)
	outputs func(prefix, group string) (trains, lines string)
	specs   func(n event.Names, group string) []event.TopicSpec
}

func rails() []rail {
	ell := func(layout event.Layout) rail {
		return rail{
			contestant: contestant{name: "Ell", form: string(layout) + " topics", guarantee: exactlyOnce, command: func(b *bench, prefix string) []string {
				return []string{b.ell, "process", "--brokers", strings.Join(b.brokers, ","), "--registry", b.registry.URL(),
					"--topics", string(layout), "--prefix", prefix, "--instance", "bench", "--log", "info"}
			}},
			layout: layout,
			groups: func(_ *bench, prefix, _ string) (string, string, string) { return prefix + event.StageLines, "", "" },
			outputs: func(prefix, _ string) (string, string) { return prefix + "trains.v1", prefix + "lines.v1" },
			specs: func(n event.Names, _ string) []event.TopicSpec {
				var refs []event.StationRef
				for _, s := range cta.Chicago().Stations {
					refs = append(refs, event.StationRef{ID: s.ID, Slug: s.Slug})
				}
				return n.Specs(refs, event.ClusterRetention())
			},
		}
	}
	ks := func(form string, layout event.Layout) rail {
		return rail{
			contestant: contestant{name: "Kafka Streams", form: form + ", " + string(layout) + " topics", guarantee: exactlyOnce, command: kafkaStreams("Trains", form)},
			layout:     layout,
			groups: func(_ *bench, _, group string) (string, string, string) {
				if layout == event.Shared {
					return group, "", ""
				}
				return group, group, group + ".by-line"
			},
			outputs:    func(_, group string) (string, string) { return group + ".trains", group + ".trains.lines" },
			specs: func(_ event.Names, group string) []event.TopicSpec {
				made := changelogs(group, "trains", "legs", "lines", "visits")
				if layout == event.PerStation {
					made = append(made, event.TopicSpec{Name: group + ".by-line", Partitions: event.Partitions, Delete: true, RetentionMS: -1})
				}
				return made
			},
		}
	}
	return []rail{
		ell(event.Shared), ell(event.PerStation),
		ks("rocksdb", event.Shared), ks("memory", event.Shared), ks("fastest", event.Shared), ks("fastest", event.PerStation),
	}
}

func (b *bench) trains(ctx context.Context) error {
	network, err := b.writeNetwork()
	if err != nil {
		return err
	}
	return measure(ctx, b, "Train positions, predicted arrivals and line status", rails(), func(c rail, run int) (result, error) {
		return b.runTrains(ctx, c, run, network)
	})
}

func (b *bench) runTrains(ctx context.Context, c rail, run int, network string) (result, error) {
	prefix := "trains" + strconv.Itoa(b.events) + string(c.layout) + "."
	names := event.Names{Prefix: prefix, Layout: c.layout}
	res := result{Part: "trains", Name: c.name, Form: c.form, Guarantee: c.guarantee, Run: run, Events: int64(b.events)}
	want, err := b.loadArrivals(ctx, names, b.events)
	if err != nil {
		return res, err
	}
	input, err := regexp.Compile(names.ArrivalsPattern())
	if err != nil {
		return res, err
	}
	group := "trains-" + strings.NewReplacer(" ", "-", ",", "").Replace(strings.ToLower(c.title())) + "-" + strconv.FormatInt(time.Now().Unix(), 36)
	first, second, byLine := c.groups(b, prefix, group)
	trains, lines := c.outputs(prefix, group)
	clean := func() error {
		for _, s := range []string{event.StageStations, event.StageTurnstiles, event.StageLines} {
			if err := b.removeGroup(ctx, prefix+s); err != nil {
				return err
			}
		}
		if err := b.removeGroup(ctx, group); err != nil {
			return err
		}
		return b.removeMatching(ctx, func(t string) bool {
			return strings.HasPrefix(t, group) || strings.HasPrefix(t, prefix) && !input.MatchString(t)
		})
	}
	if err := clean(); err != nil {
		return res, err
	}
	if err := b.remake(ctx, outputTopic, event.Partitions, trains, lines); err != nil {
		return res, err
	}
	if err := b.prepare(ctx, c.specs(names, group)); err != nil {
		return res, err
	}
	data := filepath.Join(b.work, "state-"+group)
	defer os.RemoveAll(data)
	env := []string{"BROKERS=" + strings.Join(b.brokers, ","), "REGISTRY=" + b.registry.URL(), "INPUT=" + names.ArrivalsPattern(), "GROUP=" + group,
		"BY_LINE=" + byLine, "DATA=" + data, "OUTPUT=" + trains, "NETWORK=" + network}
	p, err := b.start(group, env, c.command(b, prefix)...)
	if err != nil {
		return res, err
	}
	begun, err := b.awaitGroup(ctx, p, first)
	if err == nil {
		err = b.awaitInput(ctx, p, first, input, int64(b.events))
	}
	if err == nil && second != "" {
		err = b.awaitDrained(ctx, p, second, byLine)
	}
	if err == nil {
		sleep(ctx, 500*time.Millisecond) // the last of the changes told at most every 100 ms
	}
	u := p.stop(syscall.SIGTERM)
	if err != nil {
		return res, err
	}
	got, err := b.readTrains(ctx, trains)
	if err != nil {
		return res, err
	}
	if _, err := want.check(got.trains); err != nil {
		return res, err
	}
	res.Seconds = float64(got.last-begun.UnixMilli()) / 1000
	res.PerSecond = float64(b.events) / res.Seconds
	res.CPU, res.PeakMB = u.CPU.Seconds(), float64(u.Peak)/(1<<20)
	res.Outputs, res.Commits = got.records, got.commits
	return res, clean()
}

// positions is what stands on a topic of train positions.
type positions struct {
	outputs
	trains map[string]*event.Train
}

func (b *bench) readTrains(ctx context.Context, topic string) (got positions, err error) {
	got.trains = map[string]*event.Train{}
	dec := event.NewDecoder(schemas(b.schemas))
	got.outputs, err = b.readOutputs(ctx, topic, nil, func(r *kgo.Record) error {
		rec := event.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
		t := &event.Train{}
		if err := dec.Train(&rec, t); err != nil {
			return err
		}
		got.trains[t.TrainID] = t
		return nil
	})
	return got, err
}

// schemas resolves ids for the decoder.
type schemas map[event.ID]string

func (s schemas) Schema(id event.ID) (string, error) {
	if text, ok := s[id]; ok {
		return text, nil
	}
	return "", event.ErrUnknownSchema
}
