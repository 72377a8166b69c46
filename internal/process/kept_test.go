package process

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestWhatLinesKeepIsWhatTheyWouldWorkOutAnew: answers that hold are kept, and
// whatever makes one wrong must do away with it: arrivals, late ones too, what
// is learned, time that passes, and transactions that are given up.
func TestWhatLinesKeepIsWhatTheyWouldWorkOutAnew(t *testing.T) {
	var lines feed
	for _, f := range feeds(t) {
		if f.name == "lines" {
			lines = f
		}
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		l, out := lines.fresh().(*Lines), &recorder{}
		begun := 0 // of this transaction
		for i := 0; i < len(lines.records); i++ {
			mustProcess(t, l, lines.records[i], out)
			checkKept(t, l)
			switch r.IntN(40) {
			case 0:
				out.end(t, l, true)
				begun = i + 1
				checkKept(t, l)
			case 1:
				out.end(t, l, false)
				i = begun - 1 // the same records again
				checkKept(t, l)
			}
		}
	}
}

func checkKept(t *testing.T, l *Lines) {
	t.Helper()
	var waiting []due
	for k, tr := range l.train.All() {
		st := l.state.Peek(k.line)
		anew := *tr
		anew.isNow, anew.guess = false, guess{}
		f := *l.at(k.line, &anew)
		if got := *l.at(k.line, tr); got != f {
			t.Fatalf("train %s is kept at %+v, it is at %+v", k.id, got, f)
		}
		if got, want := *l.expects(st, k, tr), l.predict(st, k, &f, tr.late); got != want {
			t.Fatalf("of train %s is kept %+v, expected is %+v", k.id, got, want)
		}
		if f.status == inService && l.m.call(f.place).turn {
			waiting = append(waiting, due{f.at, k})
		}
	}
	for _, w := range waiting {
		f := l.at(w.key.line, l.train.Peek(w.key))
		want := slices.DeleteFunc(slices.Clone(waiting), func(d due) bool { return l.at(d.key.line, l.train.Peek(d.key)).site != f.site })
		slices.SortFunc(want, func(a, b due) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key.id, b.key.id)) })
		if got := l.waitingAt(w.key, f); !slices.Equal(got, want) {
			t.Fatalf("with train %s wait %v, kept are %v", w.key.id, want, got)
		}
	}
	for _, li := range l.mine {
		st := l.state.Peek(int16(li))
		for w, of := range l.m.lines[li].ways {
			kept := l.kept[li].slow[w/64]&(1<<(w%64)) != 0
			if !kept && l.lost(l.legs.Peek(of.leg), of.run, st) > slowSlack {
				t.Fatalf("trains are slow from %d to %d, and nothing was kept of it", of.leg.from, of.leg.to)
			}
		}
		o := &l.kept[li].oldest
		for k, v := range l.visits.All() {
			if s := &l.m.lines[li].sites[k.site]; o.is && s.trunk && v.at >= o.since && v.at < o.at[s.dir] {
				t.Fatalf("a visit of %d at site %d is older than what is kept, %d", v.at, k.site, o.at[s.dir])
			}
		}
	}
}
