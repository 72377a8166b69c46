//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// machine says where and of what the figures are.
func machine(ctx context.Context) string {
	read := func(file, key string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			return "unknown"
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, key); ok {
				return strings.Trim(v, "\t :\n")
			}
		}
		return "unknown"
	}
	versions := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/centrifugal/centrifuge" {
				versions = ", centrifuge " + d.Version
			}
		}
	}
	commit := "unknown"
	if b, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("cores %s of %s, %s, Linux %s, load %s; %s%s; commit %s; %s", read("/sys/devices/system/cpu/online", ""), read("/proc/cpuinfo", "model name"),
		read("/proc/meminfo", "MemTotal:"), read("/proc/sys/kernel/osrelease", ""), read("/proc/loadavg", ""),
		runtime.Version(), versions, commit, time.Now().UTC().Format(time.DateTime+" UTC"))
}

// spread is the median, least and most of several runs.
type spread struct{ median, least, most float64 }

func spreadOf(os []outcome, of func(outcome) float64) spread {
	var v []float64
	for _, o := range os {
		v = append(v, of(o))
	}
	slices.Sort(v)
	return spread{median(v), v[0], v[len(v)-1]}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// runsOf returns a contestant's runs with a number of viewers.
func runsOf(all []outcome, name string, viewers int) []outcome {
	return slices.DeleteFunc(slices.Clone(all), func(o outcome) bool { return o.Contestant != name || o.Viewers != viewers })
}

// report prints one table; ratios are medians of the ratios within each run.
func report(out io.Writer, p plan, all []outcome) error {
	fmt.Fprintf(out, "Fan-out: frames of %d bytes (compressed: see bytes), server on core %d, viewers on the other; median (least–most) of %d runs\n",
		p.Frame, p.core, p.Runs)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "viewers\tcontestant\tdeliveries/s\t(least–most)\tell is\tmost/s\tell is\tper CPU s\tell is\tp50 ms\tp99 ms\tidle p99 ms\tKB/viewer\tbytes\tjoins/s\tµs CPU/join\t")
	for _, n := range p.Viewers {
		for _, name := range p.Contestants {
			os := runsOf(all, name, n)
			d := spreadOf(os, deliveries)
			fmt.Fprintf(w, "%d\t%s\t%.0f\t%.0f–%.0f\t%s\t%.0f\t%s\t%.0f\t%s\t%.1f\t%.1f\t%.1f\t%.2f\t%d\t%.0f\t%.0f\t\n", n, name, d.median, d.least, d.most,
				times(ratio(all, name, n, deliveries)), spreadOf(os, most).median, times(ratio(all, name, n, most)), spreadOf(os, perCPU).median, times(ratio(all, name, n, perCPU)),
				spreadOf(os, func(o outcome) float64 { return ms(o.Best.P50) }).median,
				spreadOf(os, func(o outcome) float64 { return ms(o.Best.P99) }).median,
				spreadOf(os, func(o outcome) float64 { return ms(o.Idle.P99) }).median,
				spreadOf(os, func(o outcome) float64 { return float64(o.Resident) / 1024 }).median,
				os[0].Idle.Bytes,
				spreadOf(os, func(o outcome) float64 { return float64(n-warm) / o.Join.Seconds() }).median,
				spreadOf(os, func(o outcome) float64 { return float64(o.JoinCPU.Microseconds()) / float64(n-warm) }).median)
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	if p.Storm > 0 {
		fmt.Fprintf(out, "\nStorm: %d watch, %d more come at once, and go at once; frames go on (%d deliveries/s with all)\n", p.Storm, p.Storm, stormLoad)
		fmt.Fprintln(w, "contestant\tall in s\tµs CPU/join\tcalm p99 ms\tjoining p99 ms\tleaving p99 ms\tleft out\t")
		for _, name := range p.Contestants {
			os := slices.DeleteFunc(runsOf(all, name, p.Storm), func(o outcome) bool { return o.Storm == nil })
			if len(os) == 0 {
				continue
			}
			of := func(f func(s *storm) float64) float64 {
				return spreadOf(os, func(o outcome) float64 { return f(o.Storm) }).median
			}
			fmt.Fprintf(w, "%s\t%.2f\t%.0f\t%.1f\t%.1f\t%.1f\t%.0f\t\n", name, of(func(s *storm) float64 { return s.Join.Seconds() }),
				of(func(s *storm) float64 { return float64(s.JoinCPU.Microseconds()) / float64(p.Storm) }),
				of(func(s *storm) float64 { return ms(s.Calm.P99) }), of(func(s *storm) float64 { return ms(s.Joining.P99) }),
				of(func(s *storm) float64 { return ms(s.Leaving.P99) }),
				of(func(s *storm) float64 { return float64(s.Calm.Missed + s.Joining.Missed + s.Leaving.Missed) }))
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("print table: %w", err)
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", machine(context.Background()))
	return err
}

func deliveries(o outcome) float64 { return o.Best.Deliveries }

func most(o outcome) float64 { return o.Most }

func perCPU(o outcome) float64 { return o.Best.PerCPU }

// ratio is how many times as much Ell does as a contestant, in the same run; 0: not known.
func ratio(all []outcome, name string, viewers int, of func(outcome) float64) float64 {
	ell, other := runsOf(all, "ell", viewers), runsOf(all, name, viewers)
	var r []float64
	for i := range min(len(ell), len(other)) {
		if of(other[i]) > 0 {
			r = append(r, of(ell[i])/of(other[i]))
		}
	}
	if len(r) == 0 {
		return 0
	}
	slices.Sort(r)
	return median(r)
}

func times(x float64) string {
	if x == 0 {
		return "?"
	}
	return fmt.Sprintf("%.2f×", x)
}
