package cta

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Parse reads a network from a folder of CSV files (lines, stations, stops,
// patterns, calls, shapes, timetable, riders; data/README.md describes them)
// and checks that it holds together. The error names the file, the line in it
// (or the pattern) and the thing that is wrong first.
func Parse(dir fs.FS) (*Network, error) {
	n := empty()
	// Each file leans on those before it, so the first bad one ends it.
	for _, f := range []struct {
		name string
		cols []string
		row  func(*row) error
	}{
		{"lines.csv", []string{"id", "code", "name", "color", "toward_a", "toward_b"}, n.parseLine},
		{"stations.csv", []string{"id", "name", "descriptive", "lat", "lon", "ada", "weekday", "saturday", "sunday"}, n.parseStation},
		{"stops.csv", []string{"id", "station", "direction", "lines", "name"}, n.parseStop},
		{"patterns.csv", []string{"id", "line", "circuit", "name"}, n.parsePattern},
		{"shapes.csv", []string{"pattern", "points"}, n.parseShape},
		{"calls.csv", []string{"pattern", "station", "dir", "platform", "at", "run", "track"}, n.parseCall},
		{"timetable.csv", []string{"pattern", "dir", "day", "first", "gaps"}, n.parseTimetable},
		{"riders.csv", []string{"hour", "weekday", "saturday", "sunday"}, n.parseRiders},
	} {
		if err := readCSV(dir, f.name, f.cols, f.row); err != nil {
			return nil, err
		}
		if f.name == "calls.csv" {
			if err := n.finishPatterns(); err != nil {
				return nil, fmt.Errorf("read %s: %w", f.name, err)
			}
		}
	}
	if err := n.finish(); err != nil {
		return nil, err
	}
	return n, nil
}

func empty() *Network {
	return &Network{
		stations: make(map[int32]*Station),
		stops:    make(map[int32]*Station),
		lines:    make(map[string]*Line),
		patterns: make(map[string]*Pattern),
	}
}

func (n *Network) parseLine(r *row) error {
	l := &Line{
		Index: len(n.Lines), ID: r.word("id"), Code: r.text("code"), Name: r.text("name"),
		Color: r.text("color"), Toward: [2]string{r.text("toward_a"), r.text("toward_b")},
	}
	if !isCode(l.Code) {
		r.fail("line %q has code %q: want two to five capital letters", l.ID, l.Code)
	}
	if !isColor(l.Color) {
		r.fail("line %q has colour %q: want #rrggbb in lower case", l.ID, l.Color)
	}
	if n.lines[l.ID] != nil {
		r.fail("line %q is there twice", l.ID)
	}
	for _, o := range n.Lines {
		if o.Code == l.Code {
			r.fail("lines %q and %q have the same code %q", o.ID, l.ID, l.Code)
		}
	}
	n.Lines, n.lines[l.ID] = append(n.Lines, l), l
	return r.err
}

// isCode says whether s can begin the names of a line's trains: letters only,
// since a number follows.
func isCode(s string) bool {
	for _, c := range []byte(s) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 5
}

func isColor(s string) bool {
	if len(s) != 7 || s[0] != '#' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (n *Network) parseStation(r *row) error {
	s := &Station{
		ID: r.id("id"), Name: r.text("name"), Descriptive: r.text("descriptive"),
		Point: Point{Lat: r.number("lat", -90, 90), Lon: r.number("lon", -180, 180)},
		ADA:   r.yes("ada"),
	}
	s.Slug = Slug(s.Name)
	if s.Slug == "" {
		r.fail("station %d: no letter of its name %q can stand in a topic name", s.ID, s.Name)
	}
	for day, col := range dayNames {
		s.Entries[day] = r.number(col, 0, maxEntries)
	}
	if n.stations[s.ID] != nil {
		r.fail("station %d is there twice", s.ID)
	}
	n.Stations, n.stations[s.ID] = append(n.Stations, s), s
	return r.err
}

func (n *Network) parseStop(r *row) error {
	p := Stop{ID: r.id("id"), Direction: r.text("direction"), Name: r.text("name"), Lines: r.words("lines")}
	s := n.stationCol(r, "station")
	if n.stops[p.ID] != nil {
		r.fail("stop %d is there twice", p.ID)
	}
	switch p.Direction {
	case "N", "E", "S", "W":
	default:
		r.fail("stop %d has direction %q: want N, E, S or W", p.ID, p.Direction)
	}
	for _, l := range p.Lines {
		if n.lines[l] == nil {
			r.fail("stop %d names line %q, which is not in lines.csv", p.ID, l)
		}
	}
	if r.err == nil {
		s.Stops = append(s.Stops, p)
		n.stops[p.ID] = s
	}
	return r.err
}

func (n *Network) parsePattern(r *row) error {
	p := &Pattern{Index: len(n.Patterns), ID: r.word("id"), Line: r.word("line"), Name: r.text("name"), Circuit: r.yes("circuit")}
	l := n.lines[p.Line]
	if l == nil {
		r.fail("pattern %q names line %q, which is not in lines.csv", p.ID, p.Line)
	}
	if n.patterns[p.ID] != nil {
		r.fail("pattern %q is there twice", p.ID)
	}
	if r.err == nil {
		l.Patterns = append(l.Patterns, p.ID)
		n.Patterns, n.patterns[p.ID] = append(n.Patterns, p), p
	}
	return r.err
}

func (n *Network) parseShape(r *row) error {
	p := n.patternCol(r)
	points := r.points("points")
	if r.err != nil {
		return r.err
	}
	if p.Shape != nil {
		return fmt.Errorf("pattern %q has two shapes", p.ID)
	}
	p.Shape, p.ShapeAt = points, make([]float64, len(points))
	for i := 1; i < len(points); i++ {
		p.ShapeAt[i] = p.ShapeAt[i-1] + Distance(points[i-1], points[i])
	}
	return nil
}

func (n *Network) parseCall(r *row) error {
	p, s := n.patternCol(r), n.stationCol(r, "station")
	c := Call{
		Direction: r.direction("dir"), Platform: r.stop("platform"),
		At: r.number("at", 0, maxMetres), Run: r.number("run", 0, maxRun), Track: r.number("track", 0, maxMetres),
	}
	if r.err == nil {
		c.Station = s.ID
		p.Calls = append(p.Calls, c)
	}
	return r.err
}

func (n *Network) stationCol(r *row, col string) *Station {
	id := r.id(col)
	s := n.stations[id]
	if s == nil {
		r.fail("station %d is not in stations.csv", id)
	}
	return s
}

func (n *Network) patternCol(r *row) *Pattern {
	id := r.word("pattern")
	p := n.patterns[id]
	if p == nil {
		r.fail("pattern %q is not in patterns.csv", id)
	}
	return p
}

func (n *Network) finish() error {
	if len(n.Lines) == 0 {
		return errors.New("read lines.csv: the network has no lines")
	}
	for _, l := range n.Lines {
		if len(l.Patterns) == 0 {
			return fmt.Errorf("read patterns.csv: line %q has no pattern", l.ID)
		}
	}
	slices.SortFunc(n.Stations, func(a, b *Station) int { return cmp.Compare(a.ID, b.ID) })
	descriptive := make(map[string]int32, len(n.Stations))
	for _, s := range n.Stations {
		if len(s.Lines) == 0 {
			return fmt.Errorf("read calls.csv: no pattern calls at station %d (%s)", s.ID, s.Name)
		}
		if o, ok := descriptive[s.Descriptive]; ok {
			return fmt.Errorf("read stations.csv: stations %d and %d have the same descriptive name %q", o, s.ID, s.Descriptive)
		}
		descriptive[s.Descriptive] = s.ID
	}
	n.sortDepartures()
	if err := n.finishRiders(); err != nil {
		return fmt.Errorf("read riders.csv: %w", err)
	}
	n.buildHeadways()
	n.buildShares()
	return nil
}

func (n *Network) sortDepartures() {
	for day := range n.departs {
		slices.SortFunc(n.departs[day], func(a, b Departure) int {
			return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Call, b.Call))
		})
	}
}
