package process

import (
	"strconv"
	"strings"
)

// The changelog of the stations stage has keys of three kinds:
// "stop/<stop_id>", "line/<station_id>/<line>" and "linked/<station_id>".
const (
	kindStop   = "stop/"
	kindLink   = "line/"
	kindLinked = "linked/"
)

func (s *Stations) writeState(out Output) {
	for id, st := range s.stops.Dirty() {
		key := s.arena.close(strconv.AppendInt(append(s.arena.open(), kindStop...), int64(id), 10))
		if st == nil {
			out.State(key, nil)
			continue
		}
		b := append(s.arena.open(), stateVersion)
		b = appendInt(b, int64(st.station))
		b = appendText(b, st.name)
		b = appendInt(b, int64(st.order))
		b = appendBool(b, st.hasOrder)
		b = appendInt(b, int64(st.flags))
		b = appendInt(b, st.seq)
		out.State(key, s.arena.close(b))
	}
	for k, l := range s.links.Dirty() {
		b := strconv.AppendInt(append(s.arena.open(), kindLink...), int64(k.station), 10)
		b = append(append(b, '/'), k.line...)
		key := s.arena.close(b)
		if l == nil {
			out.State(key, nil)
			continue
		}
		b = append(s.arena.open(), stateVersion)
		b = appendInt(b, int64(l.id))
		b = appendInt(b, int64(l.order))
		out.State(key, s.arena.close(b))
	}
	for station, v := range s.linked.Dirty() {
		if v == nil {
			continue // never forgotten
		}
		key := s.arena.close(strconv.AppendInt(append(s.arena.open(), kindLinked...), int64(station), 10))
		out.State(key, s.arena.close(append(s.arena.open(), stateVersion)))
	}
}

// Restore takes one record of the changelog.
func (s *Stations) Restore(key, value []byte) error {
	s.restored = true
	text := string(key)
	if len(value) == 0 {
		return s.restoreDeletion(key, text)
	}
	r := readState(value)
	switch {
	case strings.HasPrefix(text, kindStop):
		id, ok := parseID(text[len(kindStop):])
		st := stop{station: int32(r.within(1, 1<<31-1)), name: r.text(maxName)}
		st.order = int32(r.within(-1<<31, 1<<31-1))
		st.hasOrder = r.bool()
		st.flags = uint16(r.within(0, 1<<len(flagColumns)-1))
		st.seq = r.within(1, 1<<62)
		if bad := r.end(); bad != "" || !ok {
			return stateError("stations", key, bad)
		}
		s.seq = max(s.seq, st.seq)
		s.seqWas = s.seq
		s.stops.Set(id, st)
		s.stops.Commit()
	case strings.HasPrefix(text, kindLink):
		number, line, _ := strings.Cut(text[len(kindLink):], "/")
		station, ok := parseID(number)
		l := link{id: int32(r.within(0, 1<<31-1)), order: int32(r.within(-1<<31, 1<<31-1))}
		if bad := r.end(); bad != "" || !ok || line == "" {
			return stateError("stations", key, bad)
		}
		s.links.Set(linkKey{line, station}, l)
		s.links.Commit()
	case strings.HasPrefix(text, kindLinked):
		station, ok := parseID(text[len(kindLinked):])
		if bad := r.end(); bad != "" || !ok {
			return stateError("stations", key, bad)
		}
		s.linked.Set(station, struct{}{})
		s.linked.Commit()
	default:
		return stateError("stations", key, "unknown kind of key")
	}
	return nil
}

func parseID(text string) (int32, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && n > 0
}

func (s *Stations) restoreDeletion(key []byte, text string) error {
	switch {
	case strings.HasPrefix(text, kindStop):
		if id, ok := parseID(text[len(kindStop):]); ok {
			s.stops.Delete(id)
			s.stops.Commit()
			return nil
		}
	case strings.HasPrefix(text, kindLink):
		number, line, _ := strings.Cut(text[len(kindLink):], "/")
		if station, ok := parseID(number); ok {
			s.links.Delete(linkKey{line, station})
			s.links.Commit()
			return nil
		}
	}
	return stateError("stations", key, "a deletion of what is never deleted")
}
