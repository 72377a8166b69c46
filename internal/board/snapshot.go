package board

import (
	"cmp"
	"slices"
	"sort"

	"ell/internal/event"
)

// Rate is how much happens, per minute of city time.
type Rate struct {
	EntriesMin  int64
	ArrivalsMin int64
}

// Total is the entries of one station: all of them, and those of the last
// full 5-minute window of city time.
type Total struct {
	StationID int32
	Total     int64
	Last5     int64
}

// Snapshot is everything published, as of frame Seq. It is immutable and its
// parts are shared between snapshots: do not change them.
type Snapshot struct {
	Seq      uint64 // number of the frame that made it; 0: nothing published yet
	T0       int64  // city time that times on the wire are relative to, ms
	Clock    event.Clock
	HasClock bool
	Control  bool
	Trains   []*Train              // by id
	Lines    []event.LineStatus    // by id
	Stations []event.StationOnLine // by line in network order, then order, then id
	Totals   []Total               // by station id
	Weather  *event.Weather        // nil: no reading yet
	Rate     Rate
	Appended int64 // wall time at which the newest record in it was appended, ms
}

// Train returns the train with an id, or nil.
func (s *Snapshot) Train(id string) *Train {
	i, ok := slices.BinarySearchFunc(s.Trains, id, func(t *Train, id string) int { return cmp.Compare(t.TrainID, id) })
	if !ok {
		return nil
	}
	return s.Trains[i]
}

// Line returns the status of a line; ok is false while nothing is known of it.
func (s *Snapshot) Line(id string) (l event.LineStatus, ok bool) {
	i, ok := slices.BinarySearchFunc(s.Lines, id, func(l event.LineStatus, id string) int { return cmp.Compare(l.Line, id) })
	if !ok {
		return event.LineStatus{}, false
	}
	return s.Lines[i], true
}

// Total returns the entries of a station; zero where none are known.
func (s *Snapshot) Total(id int32) Total {
	i, ok := slices.BinarySearchFunc(s.Totals, id, func(t Total, id int32) int { return cmp.Compare(t.StationID, id) })
	if !ok {
		return Total{StationID: id}
	}
	return s.Totals[i]
}

// upsert returns a copy of the sorted slice with the changes applied;
// changes are sorted too and replace or, where keep is false, remove.
func upsert[T any](old []T, changes []T, compare func(T, T) int, keep func(T) bool) []T {
	out := make([]T, 0, len(old)+len(changes))
	i := 0
	for _, c := range changes {
		at := i + sort.Search(len(old)-i, func(k int) bool { return compare(old[i+k], c) >= 0 })
		out = append(out, old[i:at]...)
		i = at
		if i < len(old) && compare(old[i], c) == 0 {
			i++
		}
		if keep(c) {
			out = append(out, c)
		}
	}
	return append(out, old[i:]...)
}
