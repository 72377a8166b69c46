package process

import "fmt"

// lookSlow finds the stretch of a pattern on which trains lose the most time
// against what is usual at this time.
func (l *Lines) lookSlow(li int, st *lineState) string {
	limit := float64(slowEnter)
	if st.word == wordSlow {
		limit = slowStay
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
	line := int16(l.m.patterns[pi].line)
	sites := l.m.lines[line].sites
	var s stretch
	for i := range calls {
		c, next := &calls[i], &calls[(i+1)%len(calls)]
		if c.turn || c.start || sites[c.site].dir != sites[next.site].dir {
			s = stretch{}
			continue
		}
		var lost float64
		if g := l.legs.Peek(legKey{line, c.site, next.site}); g != nil && g.recent() > 0 && g.lastAt > st.now-slowMemory {
			lost = g.recent() - c.run*1000 - float64(standardDwell) - max(0, st.extra)
		}
		if s.over <= 0 {
			s = stretch{from: c.site}
		}
		s.to, s.lost, s.over = next.site, s.lost+lost, s.over+lost-slowSlack
		if s.over > worst.over {
			worst = s
		}
	}
	return worst
}
