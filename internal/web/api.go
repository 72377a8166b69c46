package web

import (
	"net/http"
	"strconv"
	"time"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
)

// Times in these documents are milliseconds since the epoch; those of the city
// are its own clock's, those called wall or appended are wall time.

type lineDoc struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Color     string       `json:"color"`
	Toward    [2]string    `json:"toward"`
	Status    string       `json:"status"`
	Reason    string       `json:"reason"`
	Trains    int32        `json:"trains"`
	Headways  []headwayDoc `json:"headways"`
	UpdatedAt int64        `json:"updated_at"`
	Late      int64        `json:"late"`
}

type headwayDoc struct {
	Direction  string `json:"direction"`
	Toward     string `json:"toward"`
	ObservedS  int32  `json:"observed_s"`
	ScheduledS int32  `json:"scheduled_s"`
}

func lineDocument(l *cta.Line, snap *board.Snapshot) lineDoc {
	d := lineDoc{ID: l.ID, Name: l.Name, Color: l.Color, Toward: l.Toward, Status: "unknown", Headways: []headwayDoc{}}
	st, ok := snap.Line(l.ID)
	if !ok {
		return d
	}
	d.Status, d.Reason, d.Trains, d.UpdatedAt, d.Late = st.Status, st.Reason, st.Trains, st.UpdatedAt, st.Late
	for _, h := range st.Headways {
		d.Headways = append(d.Headways, headwayDoc{h.Direction, toward(l, h.Direction), h.Observed, h.Scheduled})
	}
	return d
}

// toward is a direction in riders' words.
func toward(l *cta.Line, dir string) string {
	switch {
	case l == nil:
		return ""
	case dir == "b":
		return l.Toward[cta.B]
	default:
		return l.Toward[cta.A]
	}
}

func (s *Server) lines(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	out := make([]lineDoc, 0, len(s.cfg.Network.Lines))
	for _, l := range s.cfg.Network.Lines {
		out = append(out, lineDocument(l, snap))
	}
	return map[string]any{"lines": out, "seq": snap.Seq}, nil
}

func (s *Server) line(r *http.Request) (any, error) {
	id := r.PathValue("id")
	l := s.lineByID(id)
	if l == nil {
		return nil, notFound("line", id)
	}
	snap := s.cfg.Board.Snapshot()
	trains := []trainDoc{}
	for _, t := range snap.Trains {
		if t.Line == id {
			trains = append(trains, s.trainDocument(t, snap))
		}
	}
	rows := []event.StationOnLine{}
	for _, row := range snap.Stations {
		if row.Line == id {
			rows = append(rows, row)
		}
	}
	return struct {
		lineDoc
		Stations []event.StationOnLine `json:"stations"`
		Running  []trainDoc            `json:"running"`
		LastHour []visitDoc            `json:"last_hour"`
	}{lineDocument(l, snap), rows, trains, visitDocuments(s.cfg.Board.LineVisits(id))}, nil
}

type visitDoc struct {
	TrainID   string    `json:"train_id"`
	Line      string    `json:"line"`
	Pattern   int       `json:"pattern"`
	Call      int32     `json:"call"`
	StationID int32     `json:"station_id"`
	Direction string    `json:"direction"`
	ArrivedAt int64     `json:"arrived_at"`
	DelayS    int32     `json:"delay_s"`
	Source    sourceDoc `json:"source"`
}

type sourceDoc struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Appended  int64  `json:"appended"`
}

func sourceDocument(s event.Source) sourceDoc {
	return sourceDoc{s.Topic, s.Partition, s.Offset, s.Appended}
}

func visitDocuments(list []board.Visit) []visitDoc {
	out := make([]visitDoc, 0, len(list))
	for _, v := range list {
		out = append(out, visitDoc{v.TrainID, v.Line, v.Pattern, v.Call, v.StationID, v.Direction, v.ArrivedAt, v.DelayS, sourceDocument(v.Source)})
	}
	return out
}

type stationDoc struct {
	ID          int32       `json:"id"`
	Name        string      `json:"name"`
	Descriptive string      `json:"descriptive"`
	Lat         float64     `json:"lat"`
	Lon         float64     `json:"lon"`
	ADA         bool        `json:"ada"`
	Lines       []string    `json:"lines"`
	Entries     int64       `json:"entries"`
	Last5       int64       `json:"entries_last_5_min"`
	Usual       *[3]float64 `json:"usual_entries_a_day,omitempty"`
}

// stationDocument describes a station of the network, or one that only the
// stations table has; ok is false if neither knows it.
func (s *Server) stationDocument(id int32, snap *board.Snapshot) (d stationDoc, ok bool) {
	d = stationDoc{ID: id, Lines: []string{}}
	if st := s.stationByID(id); st != nil {
		entries := st.Entries
		d = stationDoc{id, st.Name, st.Descriptive, st.Point.Lat, st.Point.Lon, st.ADA, st.Lines, 0, 0, &entries}
		ok = true
	} else {
		for _, row := range snap.Stations {
			if row.StationID == id {
				d.Name, d.Descriptive = row.StationName, row.StationName
				d.Lines = append(d.Lines, row.Line)
				ok = true
			}
		}
	}
	t := snap.Total(id)
	d.Entries, d.Last5 = t.Total, t.Last5
	return d, ok
}

func (s *Server) stations(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	out := make([]stationDoc, 0, len(s.cfg.Network.Stations))
	seen := make(map[int32]bool)
	for _, st := range s.cfg.Network.Stations {
		d, _ := s.stationDocument(st.ID, snap)
		out = append(out, d)
		seen[st.ID] = true
	}
	for _, row := range snap.Stations {
		if !seen[row.StationID] {
			seen[row.StationID] = true
			d, _ := s.stationDocument(row.StationID, snap)
			out = append(out, d)
		}
	}
	return map[string]any{"stations": out, "seq": snap.Seq}, nil
}

func (s *Server) station(r *http.Request) (any, error) {
	id, err := stationID(r)
	if err != nil {
		return nil, err
	}
	snap := s.cfg.Board.Snapshot()
	d, ok := s.stationDocument(id, snap)
	if !ok {
		return nil, notFound("station", r.PathValue("id"))
	}
	return struct {
		stationDoc
		Due     []callDoc       `json:"due"`
		Windows []board.Entries `json:"windows"`
		Visits  []visitDoc      `json:"last_trains"`
	}{d, s.due(id, snap), s.cfg.Board.StationDay(id), visitDocuments(s.cfg.Board.StationVisits(id))}, nil
}

func stationID(r *http.Request) (int32, error) {
	v := r.PathValue("id")
	id, err := strconv.ParseInt(v, 10, 32)
	if err != nil || id <= 0 {
		return 0, notFound("station", v)
	}
	return int32(id), nil
}

type trainDoc struct {
	ID        string    `json:"id"`
	Line      string    `json:"line"`
	Pattern   string    `json:"pattern"`
	Call      int32     `json:"call"`
	StationID int32     `json:"station_id"`
	Station   string    `json:"station"`
	Direction string    `json:"direction"`
	Toward    string    `json:"toward"`
	Status    string    `json:"status"`
	ArrivedAt int64     `json:"arrived_at"`
	DepartAt  int64     `json:"depart_at"`
	NextCall  int32     `json:"next_call"`
	DueAt     int64     `json:"due_at"`
	DelayS    int32     `json:"delay_s"`
	Late      int64     `json:"late"`
	Source    sourceDoc `json:"source"`
}

func (s *Server) trainDocument(t *board.Train, snap *board.Snapshot) trainDoc {
	return trainDoc{
		ID: t.TrainID, Line: t.Line, Pattern: t.Pattern, Call: t.Call, StationID: t.StationID,
		Station: s.stationName(t.StationID, snap), Direction: t.Direction, Toward: toward(s.lineByID(t.Line), t.Direction),
		Status: t.Status, ArrivedAt: t.ArrivedAt, DepartAt: t.DepartAt, NextCall: t.NextCall, DueAt: t.DueAt,
		DelayS: t.DelayS, Late: t.Late, Source: sourceDocument(t.Source),
	}
}

func (s *Server) trains(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	out := make([]trainDoc, 0, len(snap.Trains))
	for _, t := range snap.Trains {
		out = append(out, s.trainDocument(t, snap))
	}
	return map[string]any{"trains": out, "seq": snap.Seq}, nil
}

func (s *Server) train(r *http.Request) (any, error) {
	id := r.PathValue("id")
	snap := s.cfg.Board.Snapshot()
	t := snap.Train(id)
	if t == nil {
		return nil, notFound("train", id)
	}
	return struct {
		trainDoc
		Next []callDoc  `json:"next"`
		Way  []visitDoc `json:"way"`
	}{s.trainDocument(t, snap), s.ahead(t, snap, maxAhead), visitDocuments(s.cfg.Board.TrainVisits(id))}, nil
}

func (s *Server) entries(*http.Request) (any, error) {
	return map[string]any{"windows": s.cfg.Board.CityDay()}, nil
}

func (s *Server) weather(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	if snap.Weather == nil {
		return map[string]any{"weather": nil}, nil
	}
	return map[string]any{"weather": map[string]any{
		"at": snap.Weather.Timestamp, "temperature": snap.Weather.Temperature, "status": snap.Weather.Status,
	}}, nil
}

func (s *Server) system(*http.Request) (any, error) {
	snap := s.cfg.Board.Snapshot()
	st := s.cfg.Board.Stats()
	doc := map[string]any{
		"ready": len(s.reasons()) == 0, "waiting_for": nonNil(s.reasons()),
		"uptime_s": int64(s.cfg.Now().Sub(s.started) / time.Second),
		"stream":   s.cfg.Hub.Stats(),
		"board":    st,
		"trains":   len(snap.Trains), "stations": len(snap.Stations),
		"rate": map[string]int64{"entries_min": snap.Rate.EntriesMin, "arrivals_min": snap.Rate.ArrivalsMin},
	}
	if s.cfg.System != nil {
		doc["system"] = s.cfg.System()
	}
	return doc, nil
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	s.send(w, r, "text/plain; charset=utf-8", []byte("ok\n"))
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	why := s.reasons()
	if len(why) == 0 {
		s.send(w, r, "text/plain; charset=utf-8", []byte("ready\n"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, reason := range why {
		_, _ = w.Write([]byte("not ready: " + reason + "\n"))
	}
}
