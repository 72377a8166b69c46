//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ell/bench/fanout/contest"
	"ell/bench/fanout/crowd"
	"ell/bench/fanout/payload"
)

// usageOf reads what a process has used so far.
func usageOf(pid int) (cpu time.Duration, resident int64, err error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	threads, err := filepath.Glob(dir + "/task/*/schedstat") // in ns, where stat is in hundredths of a second
	if err != nil || len(threads) == 0 {
		return 0, 0, fmt.Errorf("read what process %d uses: it has no threads", pid)
	}
	for _, file := range threads {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		var ran time.Duration
		if _, err := fmt.Sscan(string(b), &ran); err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", file, err)
		}
		cpu += ran
	}
	b, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return 0, 0, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	var size int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0, 0, fmt.Errorf("read %s/statm: %w", dir, err)
	}
	return cpu, resident * int64(os.Getpagesize()), nil
}

// idleOf reads how long a core had nothing to do so far.
func idleOf(core int) (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read what the core does: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] != fmt.Sprintf("cpu%d", core) {
			continue
		}
		idle, err1 := strconv.ParseInt(f[4], 10, 64)
		waiting, err2 := strconv.ParseInt(f[5], 10, 64) // for disks
		if err := errors.Join(err1, err2); err != nil {
			return 0, fmt.Errorf("read what the core does: %w", err)
		}
		const tick = 10 * time.Millisecond // USER_HZ is 100 on every platform of Go's
		return time.Duration(idle+waiting) * tick, nil
	}
	return 0, fmt.Errorf("read what the core does: /proc/stat has no core %d", core)
}

// meter is what was used at one time.
type meter struct {
	at            time.Time
	server, crowd time.Duration // CPU
	idle          time.Duration // of the server's core
}

func (p *process) meter() (m meter, err error) {
	m.at = time.Now()
	if m.server, _, err = usageOf(p.pid); err != nil {
		return m, err
	}
	if m.crowd, _, err = usageOf(os.Getpid()); err != nil {
		return m, err
	}
	m.idle, err = idleOf(p.core)
	return m, err
}

// process is a contestant in a process of its own, and its viewers.
type process struct {
	*crowd.Crowd
	pid     int
	core    int
	orders  io.WriteCloser
	answers chan uint64 // number of the last frame published; closed when the process ends
	wait    func() error
	maker   *payload.Maker
}

// startProcess starts a contestant on a core.
func startProcess(ctx context.Context, c contest.Contestant, size, core int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(core), self, "serve", "-contestant", c.Name, "-frame", strconv.Itoa(size)) //nolint:gosec // ourselves
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	p := &process{core: core, answers: make(chan uint64, 1), wait: cmd.Wait}
	if p.orders, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	if p.maker, err = payload.New(size); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p.pid = cmd.Process.Pid // taskset becomes what it starts
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return nil, fmt.Errorf("start %s: it ended: %w", c.Name, errors.Join(lines.Err(), cmd.Wait()))
	}
	addr, err := netip.ParseAddrPort(strings.TrimPrefix(lines.Text(), "at "))
	if err != nil {
		return nil, fmt.Errorf("start %s: it said %q: %w", c.Name, lines.Text(), err)
	}
	go func() {
		defer close(p.answers)
		for lines.Scan() {
			if n, err := strconv.ParseUint(strings.TrimPrefix(lines.Text(), "published "), 10, 64); err == nil {
				p.answers <- n
			}
		}
	}()
	p.Crowd, err = crowd.New(crowd.Config{Server: addr, Request: c.Request(), Read: p.read})
	return p, err
}

// read reads one message of a contestant's stream.
func (p *process) read(b []byte) (crowd.Message, error) {
	h, ok, err := p.maker.Find(b)
	return crowd.Message{Seq: h.Seq, Sent: h.Sent, Whole: h.Kind == payload.State, Skip: !ok}, err
}

// stop ends the process.
func (p *process) stop() error {
	p.Close()
	_ = p.orders.Close()  // it reads to the end
	for range p.answers { // until it ends
	}
	return p.wait()
}

// result is what was measured while frames were published at one rate.
type result struct {
	Viewers    int           `json:"viewers"`
	Rate       float64       `json:"rate"`       // frames a second
	Deliveries float64       `json:"deliveries"` // a second
	PerCPU     float64       `json:"per_cpu"`    // deliveries per second of the server's CPU
	Busy       float64       `json:"busy"`       // part of a core that the server used
	P50        time.Duration `json:"p50"`
	P99        time.Duration `json:"p99"`
	Missed     uint64        `json:"missed"`
	Lost       uint64        `json:"lost"`
	Bytes      uint64        `json:"bytes"`  // a delivery, on the wire
	Others     float64       `json:"others"` // the larger part of either core that other programs took
	Full       bool          `json:"full"`   // the server could not keep up
	Why        string        `json:"why,omitempty"`
}

// publish has frames published at a rate for about a time, and measures until every
// viewer has the last one. meanwhile, if any, is done once half of them are due.
func (p *process) publish(ctx context.Context, rate float64, about time.Duration, meanwhile func() error) (result, error) {
	period := time.Duration(float64(time.Second) / rate)
	n := max(int(about/period), 16)
	r := result{Viewers: p.Size(), Rate: rate}
	p.Reset()
	before, err := p.meter()
	if err != nil {
		return r, err
	}
	began := time.Now()
	half := began.Add(time.Duration(n) * period / 2)
	if _, err := fmt.Fprintf(p.orders, "publish %d %d\n", n, period); err != nil {
		return r, fmt.Errorf("order frames: %w", err)
	}
	var last, got uint64
	var looked, moved time.Time
	for behind := 1; behind > 0; {
		// Looks without waiting: a viewer who had to be woken would cost the server's core.
		if err := p.Poll(0); err != nil {
			return r, err
		}
		if now := time.Now(); last != 0 && now.Sub(looked) > 2*time.Millisecond {
			behind, looked = p.Behind(last), now
			if p.Tally.Deliveries != got {
				got, moved = p.Tally.Deliveries, now
			}
			if now.Sub(moved) > time.Second {
				r.Why = fmt.Sprintf("%d viewers were never given the newest frame", behind)
				break
			}
		}
		if meanwhile != nil && time.Now().After(half) {
			if err := meanwhile(); err != nil {
				return r, err
			}
			meanwhile = nil
		}
		if last == 0 {
			select {
			case seq, ok := <-p.answers:
				if !ok {
					return r, errors.New("the server ended")
				}
				last = seq
			default:
			}
		}
		if err := ctx.Err(); err != nil {
			return r, err
		}
	}
	took := p.Newest.Sub(began)
	after, err := p.meter()
	if err != nil {
		return r, err
	}
	t, used := p.Tally, (after.server - before.server).Seconds()
	r.Deliveries = float64(t.Deliveries) / took.Seconds()
	r.PerCPU = float64(t.Deliveries) / used
	r.Busy = used / took.Seconds()
	// The crowd never waits, so what it was not given others had.
	whole := after.at.Sub(before.at)
	r.Others = max(whole-(after.idle-before.idle)-(after.server-before.server), whole-(after.crowd-before.crowd)).Seconds() / whole.Seconds()
	r.P50, r.P99, r.Missed, r.Lost = p.Late.Quantile(0.5), p.Late.Quantile(0.99), t.Missed, t.Lost
	r.Bytes = t.Bytes / max(t.Deliveries, 1)
	switch limit := max(period, shortest); {
	case r.Why != "":
	case r.Lost > 0:
		r.Why = fmt.Sprintf("%d viewers were sent away", r.Lost)
	case r.Missed > 0:
		r.Why = fmt.Sprintf("%d frames were left out", r.Missed)
	case r.P99 > limit:
		r.Why = fmt.Sprintf("p99 is over %v", limit)
	}
	r.Full = r.Why != ""
	return r, nil
}

// shortest is the least p99 that counts as too late: below it, it is the machine's
// other work that is measured.
const shortest = 5 * time.Millisecond
