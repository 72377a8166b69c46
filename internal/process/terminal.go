package process

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// At a terminal a train is seen twice: where it ends its trip, and, when it
// draws up for the next, in the other direction. Which trip it takes nobody
// tells; trains are taken to leave in the order in which they came, each by the
// next departure of the timetable that it can make.
const (
	boardLeast = 10_000      // a train that drew up leaves no sooner, ms
	boardMost  = 5 * 60_000  // nor later, by the timetable, ms
	turnLeast  = 60_000      // from the end of a trip to drawing up for the next, ms
	turnMost   = 40 * 60_000 // and no longer than this, ms
	leadPrior  = 90_000      // first guess at how long before it leaves a train draws up, ms
	leadSlack  = 20_000      // a train that draws up this much sooner is there for an earlier trip, ms
	lateMost   = 3 * 60_000  // whose departure was no longer ago than this, ms
)

// leadKey is where the time between drawing up and leaving is kept: the "leg"
// from a site to itself.
func leadKey(line, site int16) legKey { return legKey{line, site, site} }

// leaves is when a train leaves that drew up at a site, which trips begin at:
// by the next departure of the timetable, or, when trains draw up later for
// that one, by the one before it that it missed, as soon as it can. late says
// so; ok is false when the timetable has neither.
func (l *Lines) leaves(line, site int16, at int64) (depart int64, late, ok bool) {
	l.near = l.departures(l.near[:0], int(line), site, at-lateMost, at+boardMost)
	near := l.near
	i := sort.Search(len(near), func(i int) bool { return near[i] >= at+boardLeast })
	ok = i < len(near)
	lead, slack := int64(leadPrior), int64(leadPrior)
	if g := l.legs.Peek(leadKey(line, site)); g != nil && g.n > 0 {
		lead, slack = int64(g.mean), leadSlack+int64(3*g.dev)
	}
	if i > 0 && (!ok || near[i]-at > lead+slack) {
		return at + standardDwell, true, true
	}
	if !ok {
		return 0, false, false
	}
	return near[i], false, true
}

// learnLead takes a train into account that drew up for a trip in time.
func (l *Lines) learnLead(line int16, f *fix) {
	if at, late, ok := l.leaves(line, f.site, f.at); ok && !late {
		l.legs.Edit(leadKey(line, f.site)).learn(float64(at-f.at), leadPrior, f.at)
	}
}

// predictTurn says when a train that ended its trip will draw up for the next.
func (l *Lines) predictTurn(st *lineState, k trainKey, f *fix, t *told) {
	lead := float64(leadPrior)
	start := l.m.call(l.m.next(f.place)).site
	if g := l.legs.Peek(leadKey(k.line, start)); g != nil && g.n > 0 {
		lead = g.expect()
	}
	waiting := l.waitingAt(k, f)
	ready := f.at + turnLeast
	// Trips whose train should have drawn up by now have theirs.
	after := max(st.now, waiting[0].at+turnLeast) + int64(lead)
	l.near = l.departures(l.near[:0], int(k.line), start, after, f.at+turnMost+int64(lead))
	for _, at := range l.near {
		first := waiting[0]
		if at-int64(lead) < first.at+turnLeast {
			continue // it cannot make that trip; a fresh train runs it
		}
		if first.key == k {
			if due := at - int64(lead); due >= ready && due <= f.at+turnMost {
				t.depart, t.due = due, due
			}
			return
		}
		waiting = waiting[1:]
	}
}

// waitingAt lists the trains of a line that wait at a terminal, the first to
// have come there first. The train of k at f is one of them.
func (l *Lines) waitingAt(k trainKey, f *fix) []due {
	out := l.work[:0]
	for _, w := range l.turning(k.line) {
		if w.site == f.site {
			out = append(out, w.due)
		}
	}
	l.work = out
	return out
}

// turning is a train that waits where trains turn back.
type turning struct {
	due
	site int16
}

// turning lists the trains of a line that wait where trains turn back.
func (l *Lines) turning(line int16) []turning {
	kept := l.kept[line]
	if kept.turned {
		return kept.turning
	}
	kept.turned, kept.turning = true, kept.turning[:0]
	for key, t := range l.train.All() {
		if key.line != line {
			continue
		}
		if g := l.at(line, t); g.status == inService && l.m.call(g.place).turn {
			kept.turning = append(kept.turning, turning{due{g.at, key}, g.site})
		}
	}
	slices.SortFunc(kept.turning, func(a, b turning) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key.id, b.key.id))
	})
	return kept.turning
}
