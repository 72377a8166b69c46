package web

import (
	"cmp"
	"slices"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
)

// dwellS is what a stop is taken to last when times further than the next call
// are estimated.
const dwellS = 20

// maxAhead bounds the stops that are listed ahead of a train.
const maxAhead = 24

// callDoc is a train expected at a platform. Kind is "predicted" where the
// processing says so (the next call), "estimated" where the timetable's run times
// were added to that.
type callDoc struct {
	TrainID   string `json:"train_id"`
	Line      string `json:"line"`
	StationID int32  `json:"station_id"`
	Station   string `json:"station"`
	Direction string `json:"direction"`
	Toward    string `json:"toward"`
	DueAt     int64  `json:"due_at"`
	DelayS    int32  `json:"delay_s"`
	Kind      string `json:"kind"`
}

// ahead lists the next stops of a train as far as it turns back, at most n.
func (s *Server) ahead(t *board.Train, snap *board.Snapshot, n int) []callDoc {
	out := []callDoc{}
	if t.PatternIndex < 0 || t.NextCall < 0 || t.DueAt == 0 || t.Status != event.InService {
		return out
	}
	calls := s.cfg.Network.Patterns[t.PatternIndex].Calls
	line := s.lineByID(t.Line)
	at, due, kind := int(t.NextCall), t.DueAt, "predicted"
	for range min(n, len(calls)) {
		c := calls[at]
		dir := c.Direction.String()
		out = append(out, callDoc{
			t.TrainID, t.Line, c.Station, s.stationName(c.Station, snap), dir, toward(line, dir), due, t.DelayS, kind,
		})
		if c.Turn {
			break // how long it waits before it goes back is not known
		}
		due += int64(c.Run*1000) + dwellS*1000
		at, kind = (at+1)%len(calls), "estimated"
	}
	return out
}

// due lists the trains expected at a station within the next stops of each, by time.
func (s *Server) due(station int32, snap *board.Snapshot) []callDoc {
	out := []callDoc{}
	for _, t := range snap.Trains {
		for _, c := range s.ahead(t, snap, maxAhead) {
			if c.StationID == station {
				out = append(out, c)
				break
			}
		}
	}
	slices.SortStableFunc(out, func(x, y callDoc) int { return cmp.Compare(x.DueAt, y.DueAt) })
	return out
}

func (s *Server) lineByID(id string) *cta.Line {
	for _, l := range s.cfg.Network.Lines {
		if l.ID == id {
			return l
		}
	}
	return nil
}

func (s *Server) stationByID(id int32) *cta.Station { return s.byID[id] }

// stationName is the name of a station as the log has it, else the network's.
func (s *Server) stationName(id int32, snap *board.Snapshot) string {
	if st := s.byID[id]; st != nil {
		return st.Name
	}
	for _, row := range snap.Stations {
		if row.StationID == id {
			return row.StationName
		}
	}
	return ""
}
