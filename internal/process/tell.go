package process

import (
	"slices"
	"strings"

	"ell/internal/event"
)

// refresh looks at every train of a line: those long gone are forgotten, and
// what is told of the others is brought up to date if it changed enough.
func (l *Lines) refresh(li int) {
	st := l.state.Peek(int16(li))
	l.ids = l.ids[:0]
	for k, t := range l.train.All() {
		if int(k.line) == li && (l.gone(st, k, t) || l.stale(st, k, t)) {
			l.ids = append(l.ids, k)
		}
	}
	slices.SortFunc(l.ids, func(a, b trainKey) int { return strings.Compare(a.id, b.id) })
	for _, k := range l.ids {
		if l.gone(st, k, l.train.Peek(k)) {
			l.train.Delete(k)
		} else {
			l.train.Edit(k) // Flush tells what is new
		}
	}
}

// gone says whether a train is to be forgotten.
func (l *Lines) gone(st *lineState, k trainKey, t *train) bool {
	f := l.view(k, t)
	if f.status == outOfService && st.now >= f.seen+outKeep {
		return true
	}
	if st.clock > 0 && f.seen > st.clock+futureMost {
		return true
	}
	return st.now >= max(f.seen, t.told.due)+silentMost
}

// stale says whether what was told of a train is no longer good.
func (l *Lines) stale(st *lineState, k trainKey, t *train) bool {
	f := l.view(k, t)
	now := l.predict(st, k, &f, t.late)
	was := t.told
	const slack = 5_000
	if d := now.due - was.due; d >= -slack && d <= slack {
		now.due, now.depart = was.due, was.depart
	}
	return now != was
}

// Flush tells of every train and line that changed and writes the state.
func (l *Lines) Flush(out Output) error {
	for k, t := range l.train.Dirty() {
		if t == nil {
			out.Emit(l.trains, byKey, l.arena.close(l.enc.AppendTrainKey(l.arena.open(), k.id)), nil)
			continue
		}
		f := l.view(k, t)
		now := l.predict(l.state.Peek(k.line), k, &f, t.late)
		if now == t.told {
			continue
		}
		t.told = now
		l.tellTrain(k, &f, now, out)
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
