package process

import "strings"

// Restore takes one record of the changelog.
func (l *Lines) Restore(key, value []byte) error {
	kind, rest, _ := strings.Cut(string(key), "/")
	id, rest, _ := strings.Cut(rest, "/")
	li, ok := l.m.byLine[id]
	if !ok {
		return nil // a line that the network no longer has
	}
	line := int16(li)
	if l.state.Peek(line) == nil {
		return stateError("lines", key, "not a line of this task")
	}
	r := readState(value)
	gone := len(value) == 0
	bad := ""
	switch kind {
	case kindState:
		st := r.lineState()
		if bad = r.end(); bad == "" {
			l.state.Set(line, st)
			l.state.Commit()
		}
	case kindTrain:
		bad = l.restoreTrain(trainKey{line, rest}, gone, &r)
	case kindLeg:
		bad = l.restoreLeg(line, rest, &r)
	case kindVisit:
		bad = l.restoreVisit(line, rest, &r)
	default:
		bad = "unknown kind of key"
	}
	if bad != "" {
		return stateError("lines", key, bad)
	}
	return nil
}

func (l *Lines) restoreTrain(k trainKey, gone bool, r *stateReader) string {
	if k.id == "" || len(k.id) > maxID || strings.Contains(k.id, "/") {
		return "not the id of a train"
	}
	defer l.train.Commit()
	l.kept[k.line].turned = false
	if gone {
		l.train.Delete(k)
		return ""
	}
	t, ok := l.readTrain(r, k.line)
	if bad := r.end(); bad != "" {
		return bad
	}
	if ok {
		l.train.Set(k, t)
	}
	return ""
}

func (l *Lines) restoreLeg(line int16, rest string, r *stateReader) string {
	a, b, _ := strings.Cut(rest, "/")
	from, ok1 := l.parseSite(line, a)
	to, ok2 := l.parseSite(line, b)
	g := r.leg()
	if bad := r.end(); bad != "" {
		return bad
	}
	if !ok1 || !ok2 {
		return "not a leg"
	}
	if from != none && to != none {
		k := legKey{line, from, to}
		l.legs.Set(k, g)
		l.legs.Commit()
		for w, of := range l.m.lines[line].ways {
			if of.leg == k {
				l.noteSlow(int(line), w, &g)
			}
		}
	}
	return ""
}

func (l *Lines) restoreVisit(line int16, rest string, r *stateReader) string {
	site, ok := l.parseSite(line, rest)
	v := visit{at: r.moment(), id: r.text(maxID)}
	if bad := r.end(); bad != "" {
		return bad
	}
	if !ok {
		return "not a site"
	}
	if site != none {
		l.visits.Set(visitKey{line, site}, v)
		l.visits.Commit()
	}
	return ""
}
