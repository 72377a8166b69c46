package cta

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a data file may hold, far above any real network.
const (
	maxFile    = 64 << 20 // bytes
	maxText    = 200      // bytes of a name
	maxPoints  = 100_000  // of one shape
	maxMetres  = 1e6
	maxRun     = 2 * 60 * 60 // seconds
	maxEntries = 1e7         // a day
)

// readCSV calls fn for each row of a file whose header is exactly cols.
func readCSV(dir fs.FS, name string, cols []string, fn func(*row) error) error {
	f, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("read the network: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	if st, err := f.Stat(); err != nil {
		return fmt.Errorf("read the network: %w", err)
	} else if st.Size() > maxFile {
		return fmt.Errorf("read %s: %d bytes; at most %d are allowed", name, st.Size(), maxFile)
	}
	r := csv.NewReader(io.LimitReader(f, maxFile))
	r.FieldsPerRecord = len(cols)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("read %s: header: %w", name, err)
	}
	if !slices.Equal(head, cols) {
		return fmt.Errorf("read %s: header is %q, want %q", name, head, cols)
	}
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := fn(&row{cols: cols, rec: rec}); err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("read %s: line %d: %w", name, line, err)
		}
	}
}

// row reads typed fields and keeps the first thing that was wrong.
type row struct {
	cols, rec []string
	err       error
}

func (r *row) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *row) field(col string) string { return r.rec[slices.Index(r.cols, col)] }

// text is a name for people: short, valid, printable.
func (r *row) text(col string) string {
	s := r.field(col)
	bad := func(c rune) bool { return !unicode.IsPrint(c) }
	switch {
	case strings.TrimSpace(s) == "":
		r.fail("%s is empty", col)
	case len(s) > maxText:
		r.fail("%s is %d bytes long; at most %d are allowed", col, len(s), maxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, bad):
		r.fail("%s %q has characters that cannot be printed", col, s)
	}
	return strings.Clone(s)
}

// word is an id: lower-case letters, digits and "-".
func (r *row) word(col string) string {
	s := r.field(col)
	if !isWord(s) {
		r.fail("%s %q: want 1 to 40 lower-case letters, digits or -", col, s)
	}
	return strings.Clone(s)
}

func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

func (r *row) words(col string) []string {
	return strings.Fields(strings.Clone(r.field(col)))
}

func (r *row) id(col string) int32 {
	v := r.stop(col)
	if v == 0 {
		r.fail("%s is 0", col)
	}
	return v
}

// stop is an id that may be 0 for "not known".
func (r *row) stop(col string) int32 {
	v, err := strconv.ParseInt(r.field(col), 10, 32)
	if err != nil || v < 0 {
		r.fail("%s %q: want a whole number from 0 to %d", col, r.field(col), math.MaxInt32)
		return 0
	}
	return int32(v)
}

func (r *row) number(col string, least, most float64) float64 {
	v, err := strconv.ParseFloat(r.field(col), 64)
	if err != nil || !(v >= least && v <= most) { // also refuses NaN
		r.fail("%s %q: want a number from %g to %g", col, r.field(col), least, most)
		return 0
	}
	return v
}

func (r *row) yes(col string) bool {
	switch r.field(col) {
	case "yes":
		return true
	case "no":
	default:
		r.fail("%s %q: want yes or no", col, r.field(col))
	}
	return false
}

func (r *row) direction(col string) Direction {
	switch r.field(col) {
	case "a":
		return A
	case "b":
	default:
		r.fail("%s %q: want a or b", col, r.field(col))
	}
	return B
}

func (r *row) day(col string) DayType {
	i := slices.Index(dayNames[:], r.field(col))
	if i < 0 {
		r.fail("%s %q: want weekday, saturday or sunday", col, r.field(col))
		return Weekday
	}
	return DayType(i) //nolint:gosec // G115: one of three
}

// clock is a time of the service day, "03:00" to "26:59", in minutes.
func (r *row) clock(col string) float64 {
	hh, mm, ok := strings.Cut(r.field(col), ":")
	h, err1 := strconv.Atoi(hh)
	m, err2 := strconv.Atoi(mm)
	if !ok || err1 != nil || err2 != nil || h < dayStart || h >= dayStart+24 || m < 0 || m > 59 {
		r.fail("%s %q: want a time from 03:00 to 26:59", col, r.field(col))
		return 0
	}
	return float64(60*h + m)
}

// gaps are the minutes between trips: "15x4 12 8x6" is four of 15, one of 12,
// six of 8.
func (r *row) gaps(col string) []float64 {
	var out []float64
	for f := range strings.FieldsSeq(r.field(col)) {
		gap, times, repeated := strings.Cut(f, "x")
		g, err := strconv.ParseFloat(gap, 64)
		k := 1
		if repeated && err == nil {
			k, err = strconv.Atoi(times)
		}
		if err != nil || !(g > 0 && g <= maxTrips) || k < 1 || k > maxTrips-len(out) {
			r.fail("%s: %q: want minutes above 0 and a count, at most %d in all", col, f, maxTrips)
			return nil
		}
		for range k {
			out = append(out, g)
		}
	}
	return out
}

// points are "lat,lon lat,lon ...".
func (r *row) points(col string) []Point {
	var out []Point
	for f := range strings.FieldsSeq(r.field(col)) {
		lat, lon, _ := strings.Cut(f, ",")
		a, err1 := strconv.ParseFloat(lat, 64)
		b, err2 := strconv.ParseFloat(lon, 64)
		if err1 != nil || err2 != nil || !(a >= -90 && a <= 90 && b >= -180 && b <= 180) {
			r.fail("%s: %q: want lat,lon in degrees", col, f)
			return nil
		}
		if len(out) == maxPoints {
			r.fail("%s: more than %d points", col, maxPoints)
			return nil
		}
		out = append(out, Point{Lat: a, Lon: b})
	}
	return out
}
