package app

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"ell/internal/event"
)

// elsewhere tells of stages that run in other processes what can be told from
// the log: how far their topics have grown, how far their groups have come, and
// whether anybody is in the group. Growth is in offsets, of which transactions take one
// more in each partition that they touch.
type elsewhere struct {
	prefix string
	topics map[string][]string // by stage
	parts  map[string]map[place]*backlog
	stages map[string]*distant
	fault  string // why the last look failed
}

type place struct {
	topic     string
	partition int32
}

// distant is what is known of a stage elsewhere.
type distant struct {
	reading
	members int
}

const lookTimeout = 3 * time.Second

func (p *platform) newElsewhere() *elsewhere {
	n := p.Names
	e := &elsewhere{
		prefix: n.Prefix,
		topics: map[string][]string{
			event.StageStations: {n.Stations(), n.StationLines()},
		},
		parts: make(map[string]map[place]*backlog), stages: make(map[string]*distant),
	}
	for _, t := range p.specs() {
		_, sensor := n.StationOf(t.Name)
		switch {
		case sensor && n.KindOf(t.Name) == "arrivals", t.Name == n.ByLine():
			e.topics[event.StageLines] = append(e.topics[event.StageLines], t.Name)
		case sensor, t.Name == n.Turnstiles(0, ""):
			e.topics[event.StageTurnstiles] = append(e.topics[event.StageTurnstiles], t.Name)
		}
	}
	for stage := range e.topics {
		e.parts[stage], e.stages[stage] = make(map[place]*backlog), &distant{}
	}
	return e
}

// look asks the brokers. When they do not answer, what was known stays.
func (e *elsewhere) look(ctx context.Context, adm *kadm.Client) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	e.fault = ""
	for stage, topics := range e.topics {
		if err := e.lookAt(ctx, adm, stage, topics, time.Now()); err != nil {
			e.fault = "the brokers do not say how far the processor is: " + err.Error()
			return
		}
	}
}

func (e *elsewhere) lookAt(ctx context.Context, adm *kadm.Client, stage string, topics []string, now time.Time) error {
	group := e.prefix + stage
	ends, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return fmt.Errorf("list ends: %w", err)
	}
	done, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("fetch offsets of group %s: %w", group, err)
	}
	groups, err := adm.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group %s: %w", group, err)
	}
	d := distant{members: len(groups[group].Members)}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			return // no leader now; the next look has it
		}
		d.count += end.Offset
		at := place{end.Topic, end.Partition}
		b := e.parts[stage][at]
		if b == nil {
			b = &backlog{}
			e.parts[stage][at] = b
		}
		committed, _ := done.Lookup(end.Topic, end.Partition) // at 0: the group has not come to it, all of it waits
		lag, behind := b.see(now, committed.At, end.Offset)
		d.lag += lag
		d.behind = max(d.behind, behind)
	})
	*e.stages[stage] = d
	return nil
}

// backlog remembers when the end of one partition was where, as far as that is
// not processed yet.
type backlog struct{ marks []mark }

type mark struct {
	at  time.Time
	end int64
}

const maxMarks = 64

// see takes a look into account and says how many offsets wait, and for how
// long the oldest of them does.
func (b *backlog) see(now time.Time, done, end int64) (lag int64, behind time.Duration) {
	n := 0
	for n < len(b.marks) && b.marks[n].end <= done {
		n++
	}
	b.marks = b.marks[n:]
	if end <= done {
		b.marks = nil
		return 0, 0
	}
	if n := len(b.marks); n == 0 || b.marks[n-1].end < end {
		if n == maxMarks {
			// Every other one does for a backlog this old.
			kept := b.marks[:0]
			for i := 0; i < n; i += 2 {
				kept = append(kept, b.marks[i])
			}
			b.marks = kept
		}
		b.marks = append(b.marks, mark{now, end})
	}
	return end - done, now.Sub(b.marks[0].at)
}
