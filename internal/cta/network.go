package cta

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Dwell is the scheduled standing time at an intermediate stop. Run times in
// the data leave it out, so a trip takes the sum of its runs plus a Dwell at
// every stop between its ends.
const Dwell = 20 * time.Second

// Network is everything the city is made of. It is immutable after Parse and
// safe for concurrent use.
type Network struct {
	Lines    []*Line
	Patterns []*Pattern
	Stations []*Station // in order of id

	stations map[int32]*Station
	stops    map[int32]*Station // by stop id
	lines    map[string]*Line
	patterns map[string]*Pattern

	departs      [3][]Departure // by DayType, sorted
	headways     map[string]*lineService
	share        [3][24]float64 // by DayType
	riderHours   int            // rows of riders.csv read so far
	stationShare map[int32]*[3][24]float64
}

// Station returns the station with that id, or nil.
func (n *Network) Station(id int32) *Station { return n.stations[id] }

// Line returns the line with that id ("red"), or nil.
func (n *Network) Line(id string) *Line { return n.lines[id] }

// Pattern returns the pattern with that id ("green-ashland"), or nil.
func (n *Network) Pattern(id string) *Pattern { return n.patterns[id] }

//go:embed data/*.csv
var files embed.FS

// Chicago returns the network of the Chicago 'L'. It is parsed once, from
// embedded files that this package's tests hold to be good.
func Chicago() *Network { return chicago() }

var chicago = sync.OnceValue(func() *Network {
	n, err := parseChicago()
	if err != nil {
		panic(fmt.Sprintf("the embedded network is broken: %v", err))
	}
	return n
})

func parseChicago() (*Network, error) {
	dir, err := fs.Sub(files, "data")
	if err != nil {
		return nil, fmt.Errorf("open the embedded network: %w", err)
	}
	return Parse(dir)
}

// Next returns the index of the call after i: i+1, or 0 after the last.
func (p *Pattern) Next(i int) int {
	if i++; i < len(p.Calls) {
		return i
	}
	return 0
}

// End returns the index of the last call of the trip that begins at call i:
// the next turn-back at or after i. A trip of a linear pattern is one
// direction; a trip of a circuit is the whole of it.
func (p *Pattern) End(i int) int {
	for ; i < len(p.Calls); i++ {
		if p.Calls[i].Turn {
			return i
		}
	}
	return len(p.Calls) - 1
}

// TripTime returns the scheduled time of the trip that begins at call i, from
// leaving i to arriving at its last call, dwell included.
func (p *Pattern) TripTime(i int) time.Duration {
	var s float64
	end := p.End(i)
	for c := i; c < end; c++ {
		s += p.Calls[c].Run
	}
	d := time.Duration(s * float64(time.Second))
	if stops := end - i - 1; stops > 0 {
		d += time.Duration(stops) * Dwell
	}
	return d
}

// PointAt returns the place m metres along the shape; m beyond either end
// gives that end.
func (p *Pattern) PointAt(m float64) Point {
	if m <= 0 {
		return p.Shape[0]
	}
	for i := 1; i < len(p.ShapeAt); i++ {
		if m > p.ShapeAt[i] {
			continue
		}
		a, b := p.Shape[i-1], p.Shape[i]
		t := 0.0
		if d := p.ShapeAt[i] - p.ShapeAt[i-1]; d > 0 {
			t = (m - p.ShapeAt[i-1]) / d
		}
		return Point{Lat: a.Lat + t*(b.Lat-a.Lat), Lon: a.Lon + t*(b.Lon-a.Lon)}
	}
	return p.Shape[len(p.Shape)-1]
}
