//go:build linux

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"ell/bench/fanout/contest"
)

// plan is what compare does.
type plan struct {
	Contestants []string
	Viewers     []int
	Runs        int
	Frame       int
	Step        time.Duration // how long a rate is held
	Storm       int           // viewers who come and go at once; 0: none
	core        int
	log         io.Writer
	out         io.Writer
}

func compare(ctx context.Context, args []string, out io.Writer) error {
	p := plan{out: out}
	var names []string
	for _, c := range contest.All() {
		names = append(names, c.Name)
	}
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	who := fs.String("contestants", strings.Join(names, ","), "who is measured, with commas between")
	viewers := fs.String("viewers", "1000,5000", "numbers of viewers, with commas between")
	fs.IntVar(&p.Runs, "runs", 1, "runs of each")
	fs.IntVar(&p.Frame, "frame", 1400, "bytes of a frame before compression")
	fs.DurationVar(&p.Step, "step", time.Second, "how long each rate of frames is held")
	fs.IntVar(&p.Storm, "storm", 0, "viewers who come at once and go at once, beside as many who stay; 0: none")
	fs.IntVar(&p.core, "core", 0, "the core that servers run on")
	logTo := fs.String("log", "", "file for the raw results, a line of JSON each")
	if err := fs.Parse(args); err != nil {
		return err
	}
	p.Contestants = strings.Split(*who, ",")
	for n := range strings.SplitSeq(*viewers, ",") {
		v, err := strconv.Atoi(n)
		if err != nil {
			return fmt.Errorf("-viewers: %w", err)
		}
		p.Viewers = append(p.Viewers, v)
	}
	p.log = io.Discard
	if *logTo != "" {
		f, err := os.Create(*logTo)
		if err != nil {
			return fmt.Errorf("make raw log: %w", err)
		}
		defer f.Close()
		p.log = f
	}
	results, err := p.run(ctx)
	if err != nil {
		return err
	}
	return report(out, p, results)
}

// outcome is one run of one contestant with a number of viewers.
type outcome struct {
	Contestant string        `json:"contestant"`
	Viewers    int           `json:"viewers"`
	Run        int           `json:"run"`
	Join       time.Duration `json:"join"`     // until all had their first message
	JoinCPU    time.Duration `json:"join_cpu"` // of the server
	Resident   int64         `json:"resident"` // bytes a viewer
	Idle       result        `json:"idle"`     // at two frames a second
	Best       result        `json:"best"`     // the highest rate that was held
	Limit      result        `json:"limit"`    // the lowest rate that was not
	Most       float64       `json:"most"`     // deliveries a second at any rate, late or not
	Storm      *storm        `json:"storm,omitempty"`
}

func (p *plan) run(ctx context.Context) ([]outcome, error) {
	var all []outcome
	raw := json.NewEncoder(p.log)
	if err := raw.Encode(map[string]any{"plan": p, "machine": machine(ctx)}); err != nil {
		return nil, fmt.Errorf("write raw log: %w", err)
	}
	for run := range p.Runs {
		for _, n := range p.Viewers {
			for i := range p.Contestants {
				// Each run begins with another one, so that no place in the order is anybody's.
				name := p.Contestants[(i+run)%len(p.Contestants)]
				o, err := p.measure(ctx, name, n, raw)
				if err != nil {
					return nil, fmt.Errorf("%s with %d viewers: %w", name, n, err)
				}
				o.Run = run + 1
				fmt.Fprintf(os.Stderr, "run %d  %-16s %6d viewers  %8.0f deliveries/s  %8.0f per CPU second  p99 %-10v %6.2f KB a viewer  joined in %v\n",
					o.Run, name, n, o.Best.Deliveries, o.Best.PerCPU, o.Best.P99, float64(o.Resident)/1024, o.Join.Round(time.Millisecond))
				if err := raw.Encode(o); err != nil {
					return nil, fmt.Errorf("write raw log: %w", err)
				}
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// warm is the number of viewers before memory is first looked at: what is needed
// once is not what a viewer costs.
const warm = 50

func (p *plan) measure(ctx context.Context, name string, n int, raw *json.Encoder) (o outcome, err error) {
	c, err := contest.Find(name)
	if err != nil {
		return o, err
	}
	s, err := startProcess(ctx, c, p.Frame, p.core)
	if err != nil {
		return o, err
	}
	defer func() {
		if stopped := s.stop(); err == nil && stopped != nil {
			err = fmt.Errorf("stop: %w", stopped)
		}
	}()
	o = outcome{Contestant: name, Viewers: n}
	if err := s.Join(ctx, warm); err != nil {
		return o, err
	}
	if _, err := s.publish(ctx, 50, time.Second, nil); err != nil {
		return o, err
	}
	cpu, before, err := usageOf(s.pid)
	if err != nil {
		return o, err
	}
	began := time.Now()
	if err := s.Join(ctx, n-warm); err != nil {
		return o, err
	}
	o.Join = time.Since(began)
	after, _, err := usageOf(s.pid)
	if err != nil {
		return o, err
	}
	o.JoinCPU = after - cpu
	if o.Idle, err = s.publish(ctx, 2, 4*time.Second, nil); err != nil {
		return o, err
	}
	_, resident, err := usageOf(s.pid)
	if err != nil {
		return o, err
	}
	o.Resident = (resident - before) / int64(n-warm)
	if n == p.Storm {
		if o.Storm, err = s.storm(ctx, n); err != nil {
			return o, err
		}
	}
	err = p.search(ctx, s, &o, raw)
	return o, err
}

// The search for the highest rate begins at so many deliveries a second, rises by so
// much until the core is full, then halves the gap so often. A rate that fails is
// tried once more; if other programs took more than disturbing of a core, that
// does not count, and it is tried again until patience ends.
const (
	beginAt    = 20_000
	rise       = 1.5
	halves     = 4
	disturbing = 0.15
	patience   = 4
)

func (p *plan) search(ctx context.Context, s *process, o *outcome, raw *json.Encoder) error {
	try := func(rate float64) error {
		r := result{Full: true}
		for again, failed := 0, 0; again < patience && failed < 2 && r.Full; again++ {
			var err error
			if r, err = s.publish(ctx, rate, p.Step, nil); err != nil {
				return err
			}
			if err := raw.Encode(map[string]any{"step": r}); err != nil {
				return fmt.Errorf("write raw log: %w", err)
			}
			o.Most = max(o.Most, r.Deliveries)
			if r.Full && r.Others < disturbing {
				failed++
			}
			if err := s.Join(ctx, r.Viewers-s.Size()); err != nil { // in place of those who were sent away
				return err
			}
		}
		if r.Full {
			o.Limit = r
		} else {
			o.Best = r
		}
		return nil
	}
	for rate := beginAt / float64(s.Size()); !o.Limit.Full; rate *= rise {
		if err := try(rate); err != nil {
			return err
		}
	}
	for range halves {
		low := o.Best.Rate
		if low == 0 {
			low = o.Limit.Rate / rise / rise
		}
		if err := try(math.Sqrt(low * o.Limit.Rate)); err != nil {
			return err
		}
	}
	return nil
}
