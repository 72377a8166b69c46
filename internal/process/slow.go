package process

import (
	"fmt"
	"math/bits"
)

// lookSlow finds the stretch of a pattern on which trains lose the most time
// against what is usual at this time.
func (l *Lines) lookSlow(li int, st *lineState) string {
	limit := float64(slowEnter)
	if st.word == wordSlow {
		limit = slowStay
	}
	if l.lostAtMost(li, st) < limit {
		return ""
	}
	var worst stretch
	for pi := range l.m.patterns {
		if l.m.patterns[pi].line != li {
			continue
		}
		if s := l.slowest(int16(pi), st); s.over > worst.over {
			worst = s
		}
	}
	if worst.over < limit {
		return ""
	}
	info := &l.m.lines[li]
	a, b := &info.sites[worst.from], &info.sites[worst.to]
	return fmt.Sprintf("%s trains take %d %s longer than usual between %s and %s.", capital(info.bound(a.dir)),
		minutes(int32(worst.lost/1000)), plural(int(minutes(int32(worst.lost/1000))), "minute", "minutes"), a.name, b.name)
}

// lostAtMost is what trains lose beyond slowSlack a leg, in ms, on all of a line's
// legs on which they lose any: no stretch can have more.
func (l *Lines) lostAtMost(li int, st *lineState) (sum float64) {
	ways, places := l.m.lines[li].ways, l.kept[li].legs
	for word, set := range l.kept[li].slow {
		for ; set != 0; set &= set - 1 {
			i := 64*word + bits.TrailingZeros64(set)
			sum += max(0, l.lost(l.legs.PeekAt(&places[i], ways[i].leg), ways[i].run, st)-slowSlack)
		}
	}
	return sum
}

// noteSlow keeps in mind whether the newest trains were slow on a way, by the
// timetable and whatever the hour, so that others need not be looked at.
func (l *Lines) noteSlow(li, w int, g *leg) {
	word, bit := &l.kept[li].slow[w/64], uint64(1)<<(w%64)
	*word &^= bit
	if g != nil && g.recent()-l.m.lines[li].ways[w].run*1000-float64(standardDwell) > slowSlack {
		*word |= bit
	}
}

// lost is by how much, in ms, a leg takes longer now than is usual at this time;
// 0 where the newest trains do not tell.
func (l *Lines) lost(g *leg, run float64, st *lineState) float64 {
	if g == nil || g.lastAt <= st.now-slowMemory {
		return 0
	}
	recent := g.recent()
	if recent <= 0 {
		return 0
	}
	return recent - run*1000 - float64(standardDwell) - max(0, st.extra)
}

// stretch is a part of a pattern in one direction on which trains lose time, in ms.
type stretch struct {
	from, to int16
	lost     float64 // against what is usual
	over     float64 // the same, less slowSlack a leg
}

// slowest is the stretch of a pattern on which the most time is lost beyond
// what any leg may take.
func (l *Lines) slowest(pi int16, st *lineState) (worst stretch) {
	calls := l.m.patterns[pi].calls
	var s stretch
	for i := range calls {
		c := &calls[i]
		if c.ends {
			s = stretch{}
			continue
		}
		if s.over <= 0 {
			if l.kept[c.leg.line].slow[c.way/64]&(1<<(c.way%64)) == 0 {
				continue // no slow stretch begins here
			}
			s = stretch{from: c.site}
		}
		lost := l.lost(l.leg(c), c.run, st)
		s.to, s.lost, s.over = c.leg.to, s.lost+lost, s.over+lost-slowSlack
		if s.over > worst.over {
			worst = s
		}
	}
	return worst
}
