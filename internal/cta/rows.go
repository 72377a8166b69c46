package cta

import (
	"cmp"
	"slices"
)

// StopRow is a row of the database's stations table: the columns of the
// original assignment, then those it lacked.
type StopRow struct {
	StopID                 int32
	DirectionID            string // N, E, S or W
	StopName               string
	StationName            string
	StationDescriptiveName string
	StationID              int32
	Order                  int32 // place on the stop's first line (its station's, where it has none), from 0
	Red, Blue, Green       bool
	Brown, Orange, Pink    bool
	Purple, Yellow         bool
	Lat, Lon               float64
	ADA                    bool
}

// StationLineRow is a row of the database's station_lines table: one for each
// station of each line. Order is the place in Line.Stations, from 0.
type StationLineRow struct {
	Line      string
	StationID int32
	Order     int32
}

// StopRows returns one row for each stop, sorted by stop id.
func (n *Network) StopRows() []StopRow {
	order := n.stationOrder()
	rows := make([]StopRow, 0, 2*len(n.Stations))
	for _, s := range n.Stations {
		for _, p := range s.Stops {
			first := append(slices.Clip(p.Lines), s.Lines...)[0]
			r := StopRow{
				StopID: p.ID, DirectionID: p.Direction, StopName: p.Name,
				StationName: s.Name, StationDescriptiveName: s.Descriptive, StationID: s.ID,
				Order: order[stationLine{first, s.ID}],
				Lat:   s.Point.Lat, Lon: s.Point.Lon, ADA: s.ADA,
			}
			for _, l := range p.Lines {
				r.flag(l)
			}
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b StopRow) int { return cmp.Compare(a.StopID, b.StopID) })
	return rows
}

// flag sets the colour of one line; a line with no column has none to set.
func (r *StopRow) flag(line string) {
	switch line {
	case "red":
		r.Red = true
	case "blue":
		r.Blue = true
	case "green":
		r.Green = true
	case "brown":
		r.Brown = true
	case "orange":
		r.Orange = true
	case "pink":
		r.Pink = true
	case "purple":
		r.Purple = true
	case "yellow":
		r.Yellow = true
	}
}

// StationLineRows returns one row for each station of each line, in the order
// of Lines and of Line.Stations.
func (n *Network) StationLineRows() []StationLineRow {
	var rows []StationLineRow
	for _, l := range n.Lines {
		for i, id := range l.Stations {
			rows = append(rows, StationLineRow{Line: l.ID, StationID: id, Order: int32(i)}) //nolint:gosec // G115: a line has few stations
		}
	}
	return rows
}

type stationLine struct {
	line    string
	station int32
}

func (n *Network) stationOrder() map[stationLine]int32 {
	order := make(map[stationLine]int32)
	for _, r := range n.StationLineRows() {
		order[stationLine{r.Line, r.StationID}] = r.Order
	}
	return order
}
