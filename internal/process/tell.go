package process

import (
	"slices"
	"strings"

	"ell/internal/event"
)

// forget removes the trains of a line that are long gone.
func (l *Lines) forget(li int, st *lineState) {
	l.each(li, func(k trainKey, t *train) bool { return l.gone(st, k, t) }, func(k trainKey) {
		l.train.Delete(k)
		l.kept[li].turned = false
	})
}

// refresh has Flush tell of the trains of a line that are no longer where they
// were said to be by now.
func (l *Lines) refresh(li int, st *lineState) {
	l.each(li, func(k trainKey, t *train) bool { return !t.retell && t.stale(*l.expects(st, k, t)) }, func(k trainKey) {
		l.train.Edit(k).retell = true
	})
}

// each does something to the trains of a line that are of a kind, in the order
// of their ids, so that what is told does not depend on where the table has them.
func (l *Lines) each(li int, is func(trainKey, *train) bool, do func(trainKey)) {
	l.ids = l.ids[:0]
	for k, t := range l.train.All() {
		if int(k.line) == li && is(k, t) {
			l.ids = append(l.ids, k)
		}
	}
	slices.SortFunc(l.ids, func(a, b trainKey) int { return strings.Compare(a.id, b.id) })
	for _, k := range l.ids {
		do(k)
	}
}

// gone says whether a train is to be forgotten.
func (l *Lines) gone(st *lineState, k trainKey, t *train) bool {
	f := l.at(k.line, t)
	if f.status == outOfService && st.now >= f.seen+outKeep {
		return true
	}
	if st.clock > 0 && f.seen > st.clock+futureMost {
		return true
	}
	return st.now >= max(f.seen, t.told.due)+silentMost
}

// stale says whether what was told of a train is no longer good, now that p is predicted.
func (t *train) stale(p told) bool {
	const slack = 5_000
	if d := p.due - t.told.due; d >= -slack && d <= slack {
		p.due, p.depart = t.told.due, t.told.depart
	}
	return p != t.told
}

// Flush tells of every train and line that changed and writes the state.
func (l *Lines) Flush(out Output) error {
	for k, t := range l.train.Dirty() {
		if t == nil {
			out.Emit(l.trains, byKey, l.arena.close(l.enc.AppendTrainKey(l.arena.open(), k.id)), nil)
			continue
		}
		t.retell = false
		f := l.at(k.line, t)
		now := l.predict(l.state.Peek(k.line), k, f, t.late)
		if now == t.told {
			continue
		}
		t.told = now
		l.tellTrain(k, f, now, out)
	}
	for li, st := range l.state.Dirty() {
		if st != nil && st.news {
			st.news = false
			l.tellLine(int(li), st, out)
		}
	}
	l.writeState(out)
	return nil
}

func (l *Lines) tellTrain(k trainKey, f *fix, now told, out Output) {
	s := &l.m.lines[k.line].sites[f.site]
	e := event.Train{
		TrainID: k.id, Line: l.m.lines[k.line].id, Pattern: l.m.patterns[f.place.pattern].id,
		Call: int32(f.place.call), StationID: s.station, Direction: s.dir.String(),
		Status: statusWords[f.status], ArrivedAt: now.at, DepartAt: now.depart,
		NextCall: now.next, DueAt: now.due, DelayS: now.delay, Late: now.late, Source: f.src,
	}
	out.Emit(l.trains, byKey,
		l.arena.close(l.enc.AppendTrainKey(l.arena.open(), k.id)),
		l.arena.close(l.enc.AppendTrain(l.arena.open(), &e)))
}
