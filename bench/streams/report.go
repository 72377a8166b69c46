package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table prints one row a contestant, in the order they first ran.
func (b *bench) table(w io.Writer, title string, all []result) {
	if len(all) == 0 {
		return
	}
	type row struct {
		result
		rates []float64
	}
	var rows []*row
	for _, r := range all {
		i := slices.IndexFunc(rows, func(o *row) bool { return o.Name == r.Name && o.Form == r.Form })
		if i < 0 {
			rows = append(rows, &row{result: r})
			i = len(rows) - 1
		}
		o := rows[i]
		o.rates = append(o.rates, r.PerSecond)
		o.CPU, o.PeakMB = max(o.CPU, r.CPU), max(o.PeakMB, r.PeakMB)
	}
	var ell float64
	for _, r := range rows {
		slices.Sort(r.rates)
		if ell == 0 && r.Name == "Ell" {
			ell = median(r.rates)
		}
	}
	fmt.Fprintf(w, "\n%s\n%s\n\n", title, b.machine())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "contestant\tform\tguarantee\tevents\truns\tmedian/s\tmin/s\tmax/s\tCPU s\tper CPU s\tpeak MB\tEll is\t")
	for _, r := range rows {
		ratio := "-"
		if ell > 0 {
			ratio = fmt.Sprintf("%.2f x", ell/median(r.rates))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.0f\t%s\t\n", r.Name, r.Form, r.Guarantee, r.Events, len(r.rates),
			median(r.rates), r.rates[0], r.rates[len(r.rates)-1], r.CPU, float64(r.Events)/r.CPU, r.PeakMB, ratio)
	}
	_ = t.Flush()
	fmt.Fprintln(w, "\nCPU and peak memory are the most of all runs and those of the whole process, from its start to its end.")
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// machine says where and with what this was measured.
func (b *bench) machine() string {
	model, cores := "unknown processor", 0
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(v)
				cores++
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s; %s; commit %s; %s",
		model, cores, runtime.GOOS, runtime.GOARCH, runtime.Version(), said("java", "-version"),
		said("git", "-C", b.here, "describe", "--always", "--dirty", "--exclude=*"), time.Now().UTC().Format("2006-01-02 15:04 UTC"))
}

// said is the first line that a command prints.
func said(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return argv[0] + " unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
