package sim

import (
	"time"

	"ell/internal/cta"
)

// riders is one Poisson process per station. Its rate changes with the hour of
// the clock: a draw that would pass the hour's end is drawn again there, which
// the process, having no memory, does not notice.
type riders struct {
	rng    []rng
	at     []int64 // by station: the next rider, or the next hour
	silent []bool  // by station: at is the hour's end and nobody comes
	order  []int32 // a heap of stations by (at, station)
	hour   clockHour
	trains clockHour
}

// clockHour is one hour of the clock in Chicago.
type clockHour struct {
	start int64 // ms; the hour ends at start+hour
	day   cta.DayType
	local int // 0 to 23
}

func newClockHour(t int64) clockHour {
	start := t - t%hour // Chicago is whole hours off UTC
	at := time.UnixMilli(start).In(cta.Location())
	return clockHour{start: start, day: cta.DayTypeOf(at), local: at.Hour()}
}

func (h *clockHour) holds(t int64) bool { return t >= h.start && t < h.start+hour }

// hourAt returns the hour of t for the trains, which ask in order of time.
func (r *riders) hourAt(t int64) *clockHour {
	if !r.trains.holds(t) {
		r.trains = newClockHour(t)
	}
	return &r.trains
}

func (r *riders) init(stations int) {
	r.rng = make([]rng, stations)
	r.at = make([]int64, stations)
	r.silent = make([]bool, stations)
	r.order = make([]int32, stations)
}

// begin draws everyone's first rider after now.
func (r *riders) begin(c *City) {
	r.hour = newClockHour(c.now)
	for i := range r.rng {
		r.rng[i] = newRNG(c.opts.Seed, streamRiders, uint64(c.w.stations[i].id))
		r.draw(c.w, int32(i), c.now)
	}
	r.heapify()
}

// heapify puts all stations in order of at.
func (r *riders) heapify() {
	for i := range r.order {
		r.order[i] = int32(i)
	}
	for i := len(r.order)/2 - 1; i >= 0; i-- {
		r.down(i)
	}
}

// draw sets the next rider of station s after from, which must be in r.hour.
func (r *riders) draw(w *world, s int32, from int64) {
	end := r.hour.start + hour
	at := end
	if gap := w.stations[s].gap[r.hour.day][r.hour.local]; gap > 0 {
		// At least 1 ms apart: station and time name a rider.
		wait := max(1, float64(w.log.exponential(&r.rng[s]))*gap)
		if wait < float64(end-from) {
			at = from + int64(wait)
		}
	}
	r.at[s], r.silent[s] = at, at == end
}

// until emits the riders up to and including the millisecond t.
func (r *riders) until(c *City, t int64) {
	if c.warming || len(r.order) == 0 {
		return
	}
	for {
		s := r.order[0]
		at := r.at[s]
		if at > t {
			return
		}
		if r.silent[s] {
			if !r.hour.holds(at) {
				r.hour = newClockHour(at)
			}
		} else {
			st := &c.w.stations[s]
			e := &c.turnstile
			e.StationID, e.Timestamp, e.StationName = st.id, at, st.name
			e.Line = st.line(&r.rng[s], r.hour.day, r.hour.local)
			c.sink.Turnstile(e)
		}
		r.draw(c.w, s, at)
		r.down(0)
	}
}

// line draws the line that a rider came for: as likely as its trains call here.
func (s *station) line(r *rng, day cta.DayType, local int) string {
	if s.weight == nil {
		if len(s.lines) == 0 {
			return ""
		}
		return s.lines[0]
	}
	var sum int64
	for k := range s.weight {
		sum += int64(s.weight[k][day][local])
	}
	if sum == 0 {
		return s.lines[0]
	}
	n := r.below(sum)
	for k := range s.weight {
		if n -= int64(s.weight[k][day][local]); n < 0 {
			return s.lines[k]
		}
	}
	return s.lines[0]
}

func (r *riders) down(i int) {
	s := r.order[i]
	at := r.at[s]
	n := len(r.order)
	for {
		child := 2*i + 1
		if child >= n {
			break
		}
		cs := r.order[child]
		ca := r.at[cs]
		if child+1 < n {
			if o := r.order[child+1]; r.at[o] < ca || r.at[o] == ca && o < cs {
				child++
				cs, ca = o, r.at[o]
			}
		}
		if at < ca || at == ca && s < cs {
			break
		}
		r.order[i] = cs
		i = child
	}
	r.order[i] = s
}
