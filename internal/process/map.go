package process

import (
	"errors"
	"fmt"
	"math"
	"time"

	"ell/internal/cta"
)

// timetable is what the lines need to know of the schedule; [cta.Network] is one.
type timetable interface {
	// Headway is the scheduled gap between trains of a line in a direction; 0
	// means no service.
	Headway(line string, dir cta.Direction, t time.Time) time.Duration
	// DeparturesOn are the trips of one service day, sorted by minute.
	DeparturesOn(d cta.ServiceDay) []cta.Departure
}

// Map is the network as the reducers need it: lines, their patterns, and where
// on which pattern a sensor stands. It never changes and may be shared.
type Map struct {
	lines     []lineInfo
	byLine    map[string]int
	patterns  []patternInfo
	byPattern map[string]int
	timetable timetable
}

// lineInfo is one line. A site is a station in one direction, the unit that
// sensors report; sites are numbered within their line.
type lineInfo struct {
	id     string
	name   string
	toward [2]string
	sites  []site
	bySite map[siteKey]int16
	ways   []way // between stops in one direction, each once however many patterns share it
}

// way is a leg on which trains can be slow: neither its start nor its end is a
// turn-back.
type way struct {
	leg legKey
	run float64 // scheduled seconds, the least of the patterns that share it
}

type siteKey struct {
	station int32
	dir     cta.Direction
}

type site struct {
	siteKey
	name   string
	places []place // where patterns call here, in the line's order of patterns
	// trunk says that all trains of the direction pass here in the middle of a
	// trip, so that the gaps between them are the line's headway.
	trunk bool
}

// place is a call of a pattern.
type place struct {
	pattern int16
	call    int16
}

type patternInfo struct {
	id    string
	line  int
	calls []callInfo
}

type callInfo struct {
	site  int16
	run   float64 // scheduled seconds from leaving here to arriving at the next call
	turn  bool    // the train turns back here
	start bool    // the train turned back to come here
	leg   legKey  // to the next call
	way   int16   // its number among the line's ways, none if no pattern has it as one
	ends  bool    // this pattern has it as none: it turns back here or did before
}

// NewMap checks the network and prepares it.
func NewMap(net *cta.Network) (*Map, error) {
	return newMap(net.Lines, net.Patterns, net.Stations, net)
}

func newMap(lines []*cta.Line, patterns []*cta.Pattern, stations []*cta.Station, tt timetable) (*Map, error) {
	m := &Map{byLine: make(map[string]int), byPattern: make(map[string]int), timetable: tt}
	names := make(map[int32]string, len(stations))
	for _, s := range stations {
		names[s.ID] = s.Name
	}
	for i, l := range lines {
		if _, twice := m.byLine[l.ID]; twice || l.ID == "" || len(l.ID) > maxID {
			return nil, fmt.Errorf("line %q: its id is empty, too long or used twice", l.ID)
		}
		m.byLine[l.ID] = i
		m.lines = append(m.lines, lineInfo{id: l.ID, name: l.Name, toward: l.Toward, bySite: make(map[siteKey]int16)})
	}
	for _, p := range patterns {
		if err := m.addPattern(p, names); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p.ID, err)
		}
	}
	for i := range m.lines {
		m.markTrunk(i)
		m.findWays(i)
	}
	return m, nil
}

func (m *Map) addPattern(p *cta.Pattern, names map[int32]string) error {
	li, ok := m.byLine[p.Line]
	if !ok {
		return fmt.Errorf("it is of line %q, which does not exist", p.Line)
	}
	if _, twice := m.byPattern[p.ID]; twice || p.ID == "" || len(p.ID) > maxID {
		return errors.New("its id is empty, too long or used twice")
	}
	if len(p.Calls) < 2 || len(p.Calls) > 1000 || len(m.patterns) >= 1000 {
		return fmt.Errorf("it has %d calls", len(p.Calls))
	}
	l, pi := &m.lines[li], len(m.patterns)
	m.byPattern[p.ID] = pi
	info := patternInfo{id: p.ID, line: li, calls: make([]callInfo, len(p.Calls))}
	for ci, c := range p.Calls {
		if c.Run < 0 || c.Run > 7200 || math.IsNaN(c.Run) {
			return fmt.Errorf("call %d has a run time of %g s", ci, c.Run)
		}
		k := siteKey{c.Station, c.Direction}
		si, ok := l.bySite[k]
		if !ok {
			if len(l.sites) >= 2000 {
				return fmt.Errorf("line %q has more than %d sites", l.id, len(l.sites))
			}
			si = int16(len(l.sites))
			l.bySite[k] = si
			l.sites = append(l.sites, site{siteKey: k, name: names[c.Station]})
		}
		l.sites[si].places = append(l.sites[si].places, place{int16(pi), int16(ci)})
		before := p.Calls[(ci+len(p.Calls)-1)%len(p.Calls)]
		info.calls[ci] = callInfo{site: si, run: c.Run, turn: c.Turn, start: before.Turn}
	}
	for ci := range info.calls {
		info.calls[ci].leg = legKey{int16(li), info.calls[ci].site, info.calls[(ci+1)%len(info.calls)].site}
	}
	m.patterns = append(m.patterns, info)
	return nil
}

// markTrunk finds the sites of a line where headways are measured.
func (m *Map) markTrunk(li int) {
	l := &m.lines[li]
	patterns := 0
	for i := range m.patterns {
		if m.patterns[i].line == li {
			patterns++
		}
	}
	for i := range l.sites {
		s := &l.sites[i]
		seen := make(map[int16]bool)
		s.trunk = true
		for _, p := range s.places {
			seen[p.pattern] = true
			if c := m.call(p); c.turn || c.start {
				s.trunk = false
			}
		}
		s.trunk = s.trunk && len(seen) == patterns
	}
}

// findWays numbers the legs of a line on which trains can be slow.
func (m *Map) findWays(li int) {
	l := &m.lines[li]
	known := make(map[legKey]int16)
	each := func(f func(c *callInfo)) {
		for pi := range m.patterns {
			if m.patterns[pi].line != li {
				continue
			}
			for i := range m.patterns[pi].calls {
				f(&m.patterns[pi].calls[i])
			}
		}
	}
	each(func(c *callInfo) {
		c.ends = c.turn || c.start || l.sites[c.leg.from].dir != l.sites[c.leg.to].dir
		if c.ends {
			return
		}
		w, ok := known[c.leg]
		if !ok {
			w = int16(len(l.ways))
			known[c.leg] = w
			l.ways = append(l.ways, way{c.leg, c.run})
		}
		l.ways[w].run = min(l.ways[w].run, c.run)
	})
	each(func(c *callInfo) {
		w, ok := known[c.leg]
		if c.way = w; !ok {
			c.way = none
		}
	})
}

func (m *Map) call(p place) *callInfo { return &m.patterns[p.pattern].calls[p.call] }

// next is the call after p.
func (m *Map) next(p place) place {
	p.call++
	if int(p.call) == len(m.patterns[p.pattern].calls) {
		p.call = 0
	}
	return p
}

// steps is how many calls lie between a train at site from and place to, going
// forward on to's pattern; at is where the train is on that pattern if it is
// known, else the nearest call of the site counts. -1: the pattern does not
// serve the site.
func (m *Map) steps(l *lineInfo, from int16, at place, to place) int {
	n := len(m.patterns[to.pattern].calls)
	if at.pattern == to.pattern {
		return (int(to.call) - int(at.call) + n) % n
	}
	best := -1
	for _, p := range l.sites[from].places {
		if p.pattern != to.pattern {
			continue
		}
		if d := (int(to.call) - int(p.call) + n) % n; best < 0 || d < best {
			best = d
		}
	}
	return best
}
