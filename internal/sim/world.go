package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math"
	"sort"

	"ell/internal/cta"
)

// world is the network as the city needs it: indices instead of ids, and
// everything that depends on the timetable worked out once. It never changes.
type world struct {
	net       *cta.Network
	lines     []string // ids
	codes     []string // by line, for train ids
	patterns  []pattern
	stations  []station
	legs      []leg
	platforms int
	terminals []terminal
	log       *logTable
	// maxTrains is how many trains there can be at once. Chicago has 664; its
	// rush hour needs about 150.
	maxTrains int
	// print is a fingerprint of all that a snapshot refers to.
	print uint64
}

type pattern struct {
	id    string
	line  int32
	calls []call
}

type call struct {
	station  int32
	dir      cta.Direction
	platform int32
	leg      int32 // to the next call; none at a turn-back
	next     int32
	run      int64 // ms, to the next call
	terminal int32 // where a train that ends its trip here waits; none if no trip ends here
	through  bool  // trains run through: a trip that begins here must not block the platform long
}

// leg is the track from one platform to the next; lines that call at both
// platforms share it.
type leg struct {
	room int32 // how many trains it holds
}

// terminal is where the trains of a line turn back.
type terminal struct{ line, station int32 }

type station struct {
	id    int32
	name  string
	lines []string
	// By day type and hour of the clock:
	gap    [3][24]float64 // mean ms between riders, over logUnit; 0 is none
	dwell  [3][24]int32   // mean ms that a train stands here
	weight [][3][24]int32 // by line of lines: trains that call here; nil with a single line
}

const (
	metresPerBlock = 350.0       // track that one train needs for itself
	dwellLeast     = 14 * second // with nobody on the platform
	dwellMost      = 45 * second // with any number
	dwellPerRider  = second * 3 / 5
	maxPatterns    = 1 << 14 // bounds of a network, with much room
	maxCalls       = 1 << 10
	maxStations    = 1 << 18
)

func newWorld(net *cta.Network) (*world, error) {
	if net == nil || len(net.Patterns) == 0 || len(net.Patterns) > maxPatterns || len(net.Stations) > maxStations {
		return nil, errors.New("the network has no patterns, or far too much of anything")
	}
	w := &world{net: net, log: newLogTable()}
	b := worldBuilder{
		w:         w,
		lines:     make(map[string]int32),
		stations:  make(map[int32]int32),
		platforms: make(map[platformKey]int32),
		legs:      make(map[[2]int32]int32),
		terminals: make(map[terminal]int32),
	}
	for _, l := range net.Lines {
		b.lines[l.ID] = int32(len(w.lines))
		w.lines = append(w.lines, l.ID)
		w.codes = append(w.codes, l.Code)
	}
	for _, s := range net.Stations {
		b.stations[s.ID] = int32(len(w.stations))
		w.stations = append(w.stations, station{id: s.ID, name: s.Name, lines: s.Lines})
	}
	for _, p := range net.Patterns {
		if err := b.pattern(p); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p.ID, err)
		}
	}
	w.platforms = len(b.platforms)
	w.maxTrains = 64 + 60*len(w.patterns)
	w.busyness()
	w.print = fingerprint(net)
	return w, nil
}

type worldBuilder struct {
	w         *world
	lines     map[string]int32
	stations  map[int32]int32
	platforms map[platformKey]int32
	legs      map[[2]int32]int32
	terminals map[terminal]int32
}

// platformKey tells platforms apart: by stop id, or by station, direction and
// line where the stop id is not known.
type platformKey struct {
	stop, station int32
	dir           cta.Direction
	line          string
}

func (b *worldBuilder) pattern(p *cta.Pattern) error {
	line, ok := b.lines[p.Line]
	if !ok {
		return fmt.Errorf("no line %q", p.Line)
	}
	if len(p.Calls) < 2 || len(p.Calls) > maxCalls {
		return fmt.Errorf("%d calls", len(p.Calls))
	}
	calls := make([]call, len(p.Calls))
	for i, pc := range p.Calls {
		s, ok := b.stations[pc.Station]
		if !ok {
			return fmt.Errorf("call %d: no station %d", i, pc.Station)
		}
		if !pc.Turn && (pc.Run < 1 || pc.Run > 7200) {
			return fmt.Errorf("call %d: run time of %g s", i, pc.Run)
		}
		key := platformKey{stop: pc.Platform}
		if pc.Platform == 0 {
			key = platformKey{station: pc.Station, dir: pc.Direction, line: p.Line}
		}
		calls[i] = call{
			station: s, dir: pc.Direction, platform: number(b.platforms, key),
			leg: none, next: int32(p.Next(i)), run: int64(math.Round(pc.Run * 1000)),
			terminal: none, through: !p.Calls[(i+len(p.Calls)-1)%len(p.Calls)].Turn,
		}
		if pc.Turn {
			t := terminal{line, s}
			n := number(b.terminals, t)
			if int(n) == len(b.w.terminals) {
				b.w.terminals = append(b.w.terminals, t)
			}
			calls[i].terminal = n
		}
	}
	for i := range calls {
		c := &calls[i]
		if c.terminal != none {
			continue
		}
		n := number(b.legs, [2]int32{c.platform, calls[c.next].platform})
		if int(n) == len(b.w.legs) {
			room := max(1, int32(p.Calls[i].Track/metresPerBlock))
			b.w.legs = append(b.w.legs, leg{room: room})
		}
		c.leg = n
	}
	b.w.patterns = append(b.w.patterns, pattern{id: p.ID, line: line, calls: calls})
	return nil
}

// number returns the index of key, the next free one if it is new.
func number[K comparable](m map[K]int32, key K) int32 {
	n, ok := m[key]
	if !ok {
		n = int32(len(m))
		m[key] = n
	}
	return n
}

// busyness works out, for each station, day type and hour, how often riders
// come, how long trains stand, and how riders spread over the lines: as the
// trains do that call there.
func (w *world) busyness() {
	for day := range cta.DayType(3) {
		calls := w.callsPerHour(day)
		for i := range w.stations {
			s := &w.stations[i]
			entries := w.net.Station(s.id).Entries[day]
			share := w.net.StationShare(s.id, day)
			if len(s.lines) > 1 && s.weight == nil {
				s.weight = make([][3][24]int32, len(s.lines))
			}
			for h := range 24 {
				var trains int32
				for k := range s.lines {
					n := calls[i][s.lines[k]][h]
					trains += n
					if s.weight != nil {
						s.weight[k][day][h] = n
					}
				}
				riders := entries * share[h]
				dwell := dwellLeast
				if trains > 0 {
					dwell += int64(riders / float64(trains) * float64(dwellPerRider))
				}
				s.dwell[day][h] = int32(min(dwell, dwellMost))
				if riders > 1e-6 {
					s.gap[day][h] = float64(hour) / riders / logUnit
				}
			}
		}
	}
}

// callsPerHour counts how often trains of each line call at each station.
func (w *world) callsPerHour(day cta.DayType) []map[string]*[24]int32 {
	out := make([]map[string]*[24]int32, len(w.stations))
	for i, s := range w.stations {
		out[i] = make(map[string]*[24]int32, len(s.lines))
		for _, l := range s.lines {
			out[i][l] = new([24]int32)
		}
	}
	for _, d := range w.net.Departures(day) {
		p := &w.patterns[d.Pattern]
		line := w.lines[p.line]
		ms := int64(d.Minute * float64(minute))
		for c := int32(d.Call); ; c = p.calls[c].next {
			if n := out[p.calls[c].station][line]; n != nil {
				n[ms/hour%24]++
			}
			if p.calls[c].terminal != none {
				break
			}
			ms += p.calls[c].run + cta.Dwell.Milliseconds()
		}
	}
	return out
}

// terminalAt returns the terminal of a line at a station, or none.
func (w *world) terminalAt(line, station int32) int32 {
	for i, t := range w.terminals {
		if t.line == line && t.station == station {
			return int32(i)
		}
	}
	return none
}

// fingerprint sums up everything of the network that events depend on.
func fingerprint(net *cta.Network) uint64 {
	h := crc64.New(crc64.MakeTable(crc64.ECMA))
	var buf []byte
	num := func(v int64) { buf = binary.AppendVarint(buf, v) }
	real := func(v float64) { buf = binary.BigEndian.AppendUint64(buf, math.Float64bits(v)) }
	text := func(s string) { num(int64(len(s))); buf = append(buf, s...) }
	for _, l := range net.Lines {
		text(l.ID)
		text(l.Code)
	}
	for _, s := range net.Stations {
		num(int64(s.ID))
		text(s.Name)
		for _, l := range s.Lines {
			text(l)
		}
		for day := range cta.DayType(3) {
			real(s.Entries[day])
			for _, v := range net.StationShare(s.ID, day) {
				real(v)
			}
		}
	}
	for _, p := range net.Patterns {
		text(p.ID)
		text(p.Line)
		for _, c := range p.Calls {
			num(int64(c.Station))
			num(int64(c.Direction))
			num(int64(c.Platform))
			real(c.Run)
			real(c.Track)
			if c.Turn {
				num(1)
			}
		}
	}
	for day := range cta.DayType(3) {
		for _, d := range net.Departures(day) {
			num(int64(d.Pattern))
			num(int64(d.Call))
			real(d.Minute)
		}
	}
	_, _ = h.Write(buf) // a hash takes everything
	return h.Sum64()
}

// sortedIndex returns the first index of times that is after t.
func sortedIndex(times []int64, t int64) int {
	return sort.Search(len(times), func(i int) bool { return times[i] > t })
}
