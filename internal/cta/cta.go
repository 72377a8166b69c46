// Package cta is the network of the Chicago 'L': lines, patterns, stations,
// legs, timetable and ridership. Its data files are embedded; it does no I/O
// and reads no clock.
package cta

// Direction is the direction of travel on a pattern: B runs toward the end of
// the pattern's station list, A back toward its start.
type Direction uint8

// The two directions, in wire order ("a", "b").
const (
	A Direction = iota
	B
)

// String returns the direction as it stands on the wire: "a" or "b".
func (d Direction) String() string {
	if d == B {
		return "b"
	}
	return "a"
}

// DayType is the kind of service day a timetable and an average belong to.
type DayType uint8

// The three day types of the CTA; holidays run Sunday service.
const (
	Weekday DayType = iota
	Saturday
	Sunday
)

// Point is a place on the ground, in degrees (WGS 84).
type Point struct{ Lat, Lon float64 }

// Station is one station of the network ("map id" in CTA's terms).
type Station struct {
	ID          int32
	Name        string // as on the sign: "Harlem"
	Descriptive string // unique among stations: "Harlem (Blue Line - O'Hare Branch)"
	Slug        string // for topic names, by the rule of the original assignment
	Point       Point
	ADA         bool
	Lines       []string   // ids of the lines that call here, in Network.Lines order
	Entries     [3]float64 // average entries a day (October 2018), by DayType
	Stops       []Stop
}

// Stop is one platform edge of a station ("stop id" in CTA's terms).
type Stop struct {
	ID        int32
	Direction string // CTA's compass letter: N, E, S or W
	Name      string
	Lines     []string // that may stop here; none at a platform only passed (Sheridan has two)
}

// Call is one scheduled stop of a train on its round trip of a pattern. A
// train's place in the network is always (pattern, call).
type Call struct {
	Station   int32 // station id
	Direction Direction
	Platform  int32   // stop id, 0 where unknown
	At        float64 // metres along Pattern.Shape
	// Run is the scheduled run time in seconds from leaving this call to
	// arriving at the next one (Dwell excluded; for a turn-back, 0).
	Run float64
	// Track is the length of the leg to the next call in metres; 0 for a turn-back.
	Track float64
	// Turn says that the next call is the same station in the other
	// direction: the train turns back here.
	Turn bool
}

// Pattern is one way of running a line, as a closed round trip.
//
// A linear pattern of n stations has 2n calls: n in direction B, then the same
// stations back in direction A; calls n-1 and 2n-1 are turn-backs. A circuit
// pattern (Brown, Orange, Pink, Purple express: a trunk and once round the Loop)
// has its trunk and the Loop's stations in direction B, then the trunk back in
// direction A; only the last call is a turn-back. After the last call comes call 0.
type Pattern struct {
	Index    int    // in Network.Patterns
	ID       string // "green-ashland"
	Line     string // line id
	Name     string
	Circuit  bool
	Stations []int32 // the station list the directions refer to
	Calls    []Call
	// Shape is the track: for a linear pattern from the first to the last
	// station (direction A runs it backwards), for a circuit the whole way
	// out, round the Loop and back.
	Shape []Point
	// ShapeAt[i] is the distance in metres from Shape[0] to Shape[i].
	ShapeAt []float64
}

// Line is one of the eight lines.
type Line struct {
	Index    int    // in Network.Lines
	ID       string // lower-case colour: "red"
	Code     string // two letters for train ids: "RD"
	Name     string // "Red Line"
	Color    string // "#c60c30"
	Patterns []string
	// Toward names where each direction goes, as riders say it, by Direction:
	// "Howard-bound", "95th/Dan Ryan-bound".
	Toward [2]string
	// Stations in display order (each once; branches one after the other).
	Stations []int32
}

// Departure is one trip of the timetable: a train leaves call Call of Pattern
// for the rest of the direction (or, for a circuit, the whole circuit).
type Departure struct {
	Pattern int     // index in Network.Patterns
	Call    int     // index in Pattern.Calls: where the trip begins
	Minute  float64 // minutes after midnight, from 180 (03:00) to below 1620; see ServiceDay.Time
}
