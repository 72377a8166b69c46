package cta

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func name(n *Network, id int32) string { return n.Station(id).Name }

func names(n *Network, ids []int32) []string {
	var out []string
	for _, id := range ids {
		out = append(out, name(n, id))
	}
	return out
}

func TestChicagoHasTheRealTotals(t *testing.T) {
	n := Chicago()
	if len(n.Lines) != 8 || len(n.Patterns) != 10 || len(n.Stations) != 144 {
		t.Errorf("got %d lines, %d patterns, %d stations; want 8, 10, 144", len(n.Lines), len(n.Patterns), len(n.Stations))
	}
	got := map[string]int{}
	for _, l := range n.Lines {
		got[l.ID] = len(l.Stations)
	}
	want := map[string]int{"red": 33, "blue": 33, "brown": 27, "green": 31, "orange": 16, "pink": 22, "purple": 26, "yellow": 3}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("stations by line (-want +got):\n%s", d)
	}
	shared, stops := 0, 0
	for _, s := range n.Stations {
		stops += len(s.Stops)
		if len(s.Lines) > 1 {
			shared++
		}
	}
	if shared != 22 || stops != 302 {
		t.Errorf("got %d stations on more than one line and %d stops; want 22 and 302", shared, stops)
	}
}

func TestLinesCarryCodesAndNames(t *testing.T) {
	var got []string
	for i, l := range Chicago().Lines {
		if l.Index != i {
			t.Errorf("line %s has index %d, want %d", l.ID, l.Index, i)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s | %s | %s", l.ID, l.Code, l.Color, l.Name, l.Toward[A], l.Toward[B]))
	}
	want := []string{
		"red RD #c60c30 Red Line | Howard-bound | 95th/Dan Ryan-bound",
		"blue BL #00a1de Blue Line | O'Hare-bound | Forest Park-bound",
		"brown BR #62361b Brown Line | Kimball-bound | Loop-bound",
		"green GR #009b3a Green Line | Harlem/Lake-bound | Ashland/63rd or Cottage Grove-bound",
		"orange OR #f9461c Orange Line | Midway-bound | Loop-bound",
		"pink PK #e27ea6 Pink Line | 54th/Cermak-bound | Loop-bound",
		"purple PR #522398 Purple Line | Linden-bound | Howard or Loop-bound",
		"yellow YL #f9e300 Yellow Line | Dempster-Skokie-bound | Howard-bound",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

func TestDirectionBRunsTowardTheEndOfTheList(t *testing.T) {
	n := Chicago()
	for _, tc := range []struct{ pattern, first, last string }{
		{"red-main", "Howard", "95th/Dan Ryan"},
		{"blue-main", "O'Hare", "Forest Park"},
		{"green-ashland", "Harlem/Lake", "Ashland/63rd"},
		{"green-cottage", "Harlem/Lake", "Cottage Grove"},
		{"purple-shuttle", "Linden", "Howard"},
		{"yellow-main", "Dempster-Skokie", "Howard"},
		{"brown-loop", "Kimball", "Clark/Lake"},
		{"orange-loop", "Midway", "Adams/Wabash"},
		{"pink-loop", "54th/Cermak", "Washington/Wells"},
		{"purple-express", "Linden", "Washington/Wells"},
	} {
		p := n.Pattern(tc.pattern)
		if got := [2]string{name(n, p.Stations[0]), name(n, p.Stations[len(p.Stations)-1])}; got != [2]string{tc.first, tc.last} {
			t.Errorf("%s runs %q, want %s to %s", tc.pattern, got, tc.first, tc.last)
		}
	}
}

// TestTrainsGoRoundTheLoopTheRightWay holds the Loop's calls, in order, to
// the tracks: Brown on the outer one against the clock, the others inside with it.
func TestTrainsGoRoundTheLoopTheRightWay(t *testing.T) {
	const library = "Harold Washington Library-State/Van Buren"
	want := map[string][]string{
		"brown-loop":     {"Washington/Wells", "Quincy/Wells", "LaSalle/Van Buren", library, "Adams/Wabash", "Washington/Wabash", "State/Lake", "Clark/Lake"},
		"orange-loop":    {library, "LaSalle/Van Buren", "Quincy/Wells", "Washington/Wells", "Clark/Lake", "State/Lake", "Washington/Wabash", "Adams/Wabash"},
		"pink-loop":      {"Clark/Lake", "State/Lake", "Washington/Wabash", "Adams/Wabash", library, "LaSalle/Van Buren", "Quincy/Wells", "Washington/Wells"},
		"purple-express": {"Clark/Lake", "State/Lake", "Washington/Wabash", "Adams/Wabash", library, "LaSalle/Van Buren", "Quincy/Wells", "Washington/Wells"},
	}
	n := Chicago()
	inner := map[int32]int32{} // platform by station on the inner track
	for _, p := range n.Patterns {
		if p.Circuit != (want[p.ID] != nil) {
			t.Errorf("%s: circuit is %t", p.ID, p.Circuit)
		}
		if !p.Circuit {
			continue
		}
		if d := cmp.Diff(want[p.ID], names(n, p.Stations[len(p.Stations)-8:])); d != "" {
			t.Errorf("%s round the Loop (-want +got):\n%s", p.ID, d)
		}
		// Signed area of the way round: positive is against the clock.
		var area float64
		loop := p.Calls[len(p.Stations)-8 : len(p.Stations)]
		for i, c := range loop {
			a, b := n.Station(c.Station).Point, n.Station(loop[(i+1)%8].Station).Point
			area += a.Lon*b.Lat - b.Lon*a.Lat
			if p.ID == "brown-loop" {
				continue
			}
			if o, ok := inner[c.Station]; ok && o != c.Platform {
				t.Errorf("%s stops at %s on platform %d, others of the inner track on %d", p.ID, name(n, c.Station), c.Platform, o)
			}
			inner[c.Station] = c.Platform
		}
		if (area > 0) != (p.ID == "brown-loop") {
			t.Errorf("%s goes round the Loop the wrong way", p.ID)
		}
	}
	brown := n.Pattern("brown-loop")
	for _, c := range brown.Calls[19:27] {
		if inner[c.Station] == c.Platform {
			t.Errorf("Brown stops on the inner track at %s", name(n, c.Station))
		}
	}
}

func TestCallsAreAClosedRoundTrip(t *testing.T) {
	n := Chicago()
	for _, p := range n.Patterns {
		turns := []int{len(p.Calls) - 1}
		if !p.Circuit {
			if len(p.Calls) != 2*len(p.Stations) {
				t.Errorf("%s: %d calls for %d stations", p.ID, len(p.Calls), len(p.Stations))
			}
			turns = []int{len(p.Stations) - 1, 2*len(p.Stations) - 1}
		}
		var got []int
		for i, c := range p.Calls {
			if c.Turn {
				got = append(got, i)
				if next := p.Calls[p.Next(i)]; next.Station != c.Station || next.Direction == c.Direction {
					t.Errorf("%s call %d: turns back to station %d direction %s", p.ID, i, next.Station, next.Direction)
				}
			}
			if (c.Direction == B) != (i < len(p.Stations)) {
				t.Errorf("%s call %d is in direction %s", p.ID, i, c.Direction)
			}
			if i < len(p.Stations) && c.Station != p.Stations[i] {
				t.Errorf("%s call %d: station %d, want %d as in the list", p.ID, i, c.Station, p.Stations[i])
			}
			if c.Platform == 0 {
				t.Errorf("%s call %d at %s has no platform", p.ID, i, name(n, c.Station))
			}
		}
		if d := cmp.Diff(turns, got); d != "" {
			t.Errorf("%s turn-backs (-want +got):\n%s", p.ID, d)
		}
		if n.Line(p.Line) == nil || !slices.Contains(n.Line(p.Line).Patterns, p.ID) {
			t.Errorf("%s is not among the patterns of its line %q", p.ID, p.Line)
		}
	}
}

func TestTrackIsAsLongAsTheGroundAllows(t *testing.T) {
	n := Chicago()
	for _, p := range n.Patterns {
		for i, c := range p.Calls {
			if c.Turn {
				continue
			}
			next := p.Calls[p.Next(i)]
			leg := fmt.Sprintf("%s %s - %s", p.ID, name(n, c.Station), name(n, next.Station))
			crow := Distance(n.Station(c.Station).Point, n.Station(next.Station).Point)
			// Positions are those of the station, up to two car lengths from the stop.
			if c.Track < crow-40 || c.Track > 1.45*crow {
				t.Errorf("%s: track %.0f m, as the crow flies %.0f m", leg, c.Track, crow)
			}
			if along := math.Abs(next.At - c.At); math.Abs(along-c.Track) > 40+0.02*c.Track {
				t.Errorf("%s: track %.0f m, along the shape %.0f m", leg, c.Track, along)
			}
			// 1 m/s² up to 55 mph: nothing faster may be asked of a train.
			least := 2 * math.Sqrt(c.Track)
			if c.Track > 24.6*24.6 {
				least = c.Track/24.6 + 24.6
			}
			if c.Run < least-0.5 || c.Run > 420 {
				t.Errorf("%s: %.0f s for %.0f m, at least %.0f s are needed", leg, c.Run, c.Track, least)
			}
		}
	}
}

func TestTripTimesAreTheScheduledOnes(t *testing.T) {
	n := Chicago()
	for id, minutes := range map[string]float64{
		"red-main": 64.6, "blue-main": 84.2, "brown-loop": 79.7, "green-ashland": 64.7, "green-cottage": 61.5,
		"orange-loop": 59.8, "pink-loop": 63.9, "purple-shuttle": 14.1, "purple-express": 93.8, "yellow-main": 9.0,
	} {
		p := n.Pattern(id)
		starts := []int{0}
		if !p.Circuit {
			starts = append(starts, len(p.Stations))
		}
		for _, s := range starts {
			// The schedule's figure holds a last dwell that a trip does not.
			if got := (p.TripTime(s) + Dwell).Minutes(); math.Abs(got-minutes) > 0.2 {
				t.Errorf("%s from call %d takes %.1f min, the schedule says %.1f", id, s, got, minutes)
			}
		}
	}
}

func TestShapesPassEveryStation(t *testing.T) {
	n := Chicago()
	for _, p := range n.Patterns {
		length := p.ShapeAt[len(p.ShapeAt)-1]
		if first, last := p.Calls[0], p.Calls[len(p.Stations)-1]; first.At != 0 || !p.Circuit && last.At < length-1 {
			t.Errorf("%s: the shape of %.0f m runs from %.0f to %.0f", p.ID, length, first.At, last.At)
		}
		for i, c := range p.Calls {
			limit := 25.0 // metres
			if p.ID == "red-main" && name(n, c.Station) == "Roosevelt" {
				limit = 70 // the station's position is that of the elevated half, the subway lies under State Street
			}
			if d := Distance(p.PointAt(c.At), n.Station(c.Station).Point); d > limit {
				t.Errorf("%s call %d: the track is %.0f m from %s", p.ID, i, d, name(n, c.Station))
			}
		}
		for i := 1; i < len(p.Shape); i++ {
			if d := p.ShapeAt[i] - p.ShapeAt[i-1]; d <= 0 || d > 5500 {
				t.Errorf("%s: point %d is %.1f m after the one before", p.ID, i, d)
			}
		}
	}
}

func TestStationsLieInChicagoland(t *testing.T) {
	var total [3]float64
	for _, s := range Chicago().Stations {
		if s.Point.Lat < 41.70 || s.Point.Lat > 42.10 || s.Point.Lon < -87.95 || s.Point.Lon > -87.55 {
			t.Errorf("%s is at %v", s.Name, s.Point)
		}
		for day, e := range s.Entries {
			if e < 100 || e > 25_000 {
				t.Errorf("%s has %.0f entries on day type %d", s.Descriptive, e, day)
			}
			total[day] += e
		}
	}
	// October 2018: some 657 thousand on a weekday, fewer on Saturday, fewest on Sunday.
	if total[Weekday] < 550e3 || total[Weekday] > 700e3 || total[Saturday] > 0.65*total[Weekday] || total[Sunday] > total[Saturday] {
		t.Errorf("entries by day type are %.0f", total)
	}
}

func TestSlugsFollowTheAssignmentsRule(t *testing.T) {
	for name, want := range map[string]string{
		"O'Hare":           "ohare",
		"Clark/Lake":       "clark_and_lake",
		"Cermak-Chinatown": "cermak_chinatown",
		"95th/Dan Ryan":    "95th_and_dan_ryan",
		"Harold Washington Library-State/Van Buren": "harold_washington_library_state_and_van_buren",
		"Évil <name>\n\x00\"":                       "vil_name",
		"":                                          "",
	} {
		if got := Slug(name); got != want {
			t.Errorf("slug of %q is %q, want %q", name, got, want)
		}
	}
	for _, s := range Chicago().Stations {
		if s.Slug != Slug(s.Name) || s.Slug == "" {
			t.Errorf("station %d %q has slug %q", s.ID, s.Name, s.Slug)
		}
	}
}

func TestRowsForTheDatabase(t *testing.T) {
	n := Chicago()
	stops, lines := n.StopRows(), n.StationLineRows()
	if len(stops) != 302 || len(lines) != 191 {
		t.Fatalf("got %d stops and %d stations of lines, want 302 and 191", len(stops), len(lines))
	}
	if !slices.IsSortedFunc(stops, func(a, b StopRow) int { return int(a.StopID - b.StopID) }) {
		t.Error("stops are not sorted by id")
	}
	i := slices.IndexFunc(stops, func(r StopRow) bool { return r.StopID == 30074 })
	want := StopRow{
		StopID: 30074, DirectionID: "E", StopName: "Clark/Lake (Inner Loop)", StationName: "Clark/Lake",
		StationDescriptiveName: n.Station(40380).Descriptive, StationID: 40380, Order: stops[i].Order,
		Green: true, Orange: true, Pink: true, Purple: true,
		Lat: n.Station(40380).Point.Lat, Lon: n.Station(40380).Point.Lon, ADA: true,
	}
	if d := cmp.Diff(want, stops[i]); d != "" {
		t.Errorf("Clark/Lake, inner Loop (-want +got):\n%s", d)
	}
	if got := lines[32]; got != (StationLineRow{Line: "red", StationID: 40450, Order: 32}) {
		t.Errorf("the last station of Red is %+v", got)
	}
	plain := 0
	for _, r := range stops {
		if !(r.Red || r.Blue || r.Green || r.Brown || r.Orange || r.Pink || r.Purple || r.Yellow) {
			plain++
		}
	}
	if plain != 2 {
		t.Errorf("%d stops of no line, want Sheridan's 2", plain)
	}
}

func TestPointAtStaysOnTheShape(t *testing.T) {
	p := Chicago().Pattern("yellow-main")
	if p.PointAt(-5) != p.Shape[0] || p.PointAt(1e9) != p.Shape[len(p.Shape)-1] {
		t.Error("beyond its ends a shape must give its ends")
	}
	if d := Distance(p.PointAt(1000), p.PointAt(1100)); d < 80 || d > 101 {
		t.Errorf("100 m along the track are %.1f m apart", d)
	}
}

func TestSyntheticNetworksHaveIDsOfTheirOwn(t *testing.T) {
	n, err := Synthetic(3)
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Lines) != 24 || len(n.Patterns) != 30 || len(n.Stations) != 3*144 {
		t.Errorf("got %d lines, %d patterns, %d stations", len(n.Lines), len(n.Patterns), len(n.Stations))
	}
	codes, patterns := map[string]bool{}, map[string]bool{}
	for i, l := range n.Lines {
		codes[l.Code] = true
		if l.Index != i || n.Line(l.ID) != l {
			t.Errorf("line %s is not found by its id", l.ID)
		}
	}
	for i, p := range n.Patterns {
		patterns[p.ID] = true
		if p.Index != i || n.Pattern(p.ID) != p || n.Line(p.Line) == nil {
			t.Errorf("pattern %s is not found by its id", p.ID)
		}
		for _, c := range p.Calls {
			s := n.Station(c.Station)
			if d := Distance(p.PointAt(c.At), s.Point); d > 70 {
				t.Errorf("%s is %.0f m from the track of %s", s.Name, d, p.ID)
			}
			if !slices.ContainsFunc(s.Stops, func(o Stop) bool { return o.ID == c.Platform }) {
				t.Errorf("%s has no stop %d", s.Name, c.Platform)
			}
		}
	}
	if len(codes) != 24 || len(patterns) != 30 {
		t.Errorf("%d codes and %d patterns are distinct", len(codes), len(patterns))
	}
	noon := time.Date(2025, 10, 15, 12, 0, 0, 0, Location())
	if a, b := n.Headway("red", A, noon), n.Headway("red-2", A, noon); a != b || a == 0 {
		t.Errorf("headway of red is %v, of its copy %v", a, b)
	}
	if got, want := len(n.Departures(Sunday)), 3*len(Chicago().Departures(Sunday)); got != want {
		t.Errorf("%d departures, want %d", got, want)
	}
	for _, bad := range []int{-1, 0, 81} {
		if _, err := Synthetic(bad); err == nil {
			t.Errorf("factor %d is accepted", bad)
		}
	}
	if n, err := Synthetic(80); err != nil || len(n.Stations) != 80*144 {
		t.Errorf("80 copies: %v", err)
	}
}

func BenchmarkParseChicago(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseChicago(); err != nil {
			b.Fatal(err)
		}
	}
}
