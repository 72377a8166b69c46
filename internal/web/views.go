package web

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"ell/internal/board"
	"ell/internal/cta"
	"ell/internal/event"
)

type lineView struct {
	ID, Name         string
	TowardA, TowardB string
	Status, Reason   string
	Trains           int32
	Headways         []headwayView
	Rows             []rowView
}

type headwayView struct{ Toward, Observed, Scheduled string }

type rowView struct {
	ID    int32
	Name  string
	A, B  []platformTrain
	Total string
}

// platformTrain is a train as a platform's cell shows it.
type platformTrain struct{ ID, Note string }

// statusWords says a line's status as riders would.
func statusWords(status string) string {
	switch status {
	case event.StatusDelays:
		return "Delays"
	case event.StatusLongWaits:
		return "Long waits"
	case event.StatusSlow:
		return "Slow"
	case event.StatusGood:
		return "Good service"
	case event.StatusNotScheduled:
		return "Not scheduled now"
	case event.StatusNoService:
		return "No service"
	default:
		return "Not known yet"
	}
}

type platformKey struct {
	line, dir string
	station   int32
}

// lineViews describes the lines, or the one with an id, as of a snapshot.
func (p *pages) lineViews(snap *board.Snapshot, only string) []lineView {
	at := make(map[platformKey][]platformTrain)
	now := cityNow(snap, p.s.cfg.Now().UnixMilli())
	for _, t := range snap.Trains {
		k := platformKey{t.Line, t.Direction, t.StationID}
		at[k] = append(at[k], platformTrain{t.TrainID, note(t, now)})
	}
	rows := make(map[string][]rowView)
	for _, r := range snap.Stations {
		rows[r.Line] = append(rows[r.Line], rowView{
			ID: r.StationID, Name: r.StationName,
			A:     at[platformKey{r.Line, "a", r.StationID}],
			B:     at[platformKey{r.Line, "b", r.StationID}],
			Total: count(snap.Total(r.StationID).Total),
		})
	}
	var out []lineView
	for _, l := range p.s.cfg.Network.Lines {
		if only != "" && l.ID != only {
			continue
		}
		v := lineView{ID: l.ID, Name: l.Name, TowardA: l.Toward[cta.A], TowardB: l.Toward[cta.B], Rows: rows[l.ID]}
		st, _ := snap.Line(l.ID)
		v.Status, v.Reason, v.Trains = statusWords(st.Status), st.Reason, st.Trains
		for _, h := range st.Headways {
			if h.Observed > 0 {
				hv := headwayView{Toward: toward(l, h.Direction), Observed: span(int64(h.Observed))}
				if h.Scheduled > 0 {
					hv.Scheduled = span(int64(h.Scheduled))
				}
				v.Headways = append(v.Headways, hv)
			}
		}
		out = append(out, v)
	}
	return out
}

// note says what a rider should know of a train that was seen at a platform.
func note(t *board.Train, now int64) string {
	switch {
	case t.Status == event.BrokenDown:
		return "broken down"
	case t.Status != event.InService:
		return "out of service"
	case t.DepartAt > 0 && now > t.DepartAt:
		return "left"
	case t.DelayS >= 300:
		return span(int64(t.DelayS)) + " late"
	}
	return ""
}

type stationView struct {
	Total, Last5 string
	Lines        []lineView
	Due, Seen    []seenView
}

type seenView struct {
	At, ID, Line, Toward, Kind, Record string
	StationID                          int32
	Station                            string
}

func (p *pages) station(r *http.Request) (string, view, error) {
	id, err := stationID(r)
	if err != nil {
		return "", view{}, err
	}
	snap := p.s.cfg.Board.Snapshot()
	d, ok := p.s.stationDocument(id, snap)
	if !ok {
		return "", view{}, notFound("station", r.PathValue("id"))
	}
	sv := &stationView{Total: count(d.Entries), Last5: count(d.Last5)}
	for _, l := range d.Lines {
		name := l
		if line := p.s.lineByID(l); line != nil {
			name = line.Name
		}
		sv.Lines = append(sv.Lines, lineView{ID: l, Name: name})
	}
	for _, c := range p.s.due(id, snap) {
		sv.Due = append(sv.Due, seenView{At: clockTime(c.DueAt), ID: c.TrainID, Line: p.lineName(c.Line), Toward: c.Toward, Kind: c.Kind})
	}
	sv.Seen = p.seen(p.s.cfg.Board.StationVisits(id), snap)
	v := p.view(snap, d.Name)
	v.Station = sv
	return "station", v, nil
}

func (p *pages) seen(visits []board.Visit, snap *board.Snapshot) []seenView {
	var out []seenView
	for _, x := range slices.Backward(visits) { // newest first
		out = append(out, seenView{
			At: clockTime(x.ArrivedAt), ID: x.TrainID, Line: p.lineName(x.Line), Toward: toward(p.s.lineByID(x.Line), x.Direction),
			Record: recordName(x.Source), StationID: x.StationID, Station: p.s.stationName(x.StationID, snap),
		})
	}
	return out
}

type trainView struct {
	LineID, Line, Status, Station, Toward, At, Delay, Record string
	StationID                                                int32
	Next, Way                                                []seenView
}

func (p *pages) train(r *http.Request) (string, view, error) {
	id := r.PathValue("id")
	snap := p.s.cfg.Board.Snapshot()
	t := snap.Train(id)
	if t == nil {
		return "", view{}, notFound("train", id)
	}
	tv := &trainView{
		LineID: t.Line, Line: p.lineName(t.Line), Status: trainStatus(t.Status), StationID: t.StationID,
		Station: p.s.stationName(t.StationID, snap), Toward: toward(p.s.lineByID(t.Line), t.Direction),
		At: clockTime(t.ArrivedAt), Delay: delayWords(t.DelayS), Record: recordName(t.Source),
	}
	for _, c := range p.s.ahead(t, snap, maxAhead) {
		tv.Next = append(tv.Next, seenView{At: clockTime(c.DueAt), StationID: c.StationID, Station: c.Station, Kind: c.Kind})
	}
	tv.Way = p.seen(p.s.cfg.Board.TrainVisits(id), snap)
	v := p.view(snap, "Train "+t.TrainID)
	v.Train = tv
	return "train", v, nil
}

func (p *pages) lineName(id string) string {
	if l := p.s.lineByID(id); l != nil {
		return l.Name
	}
	return id
}

func trainStatus(status string) string {
	switch status {
	case event.InService:
		return "In service"
	case event.BrokenDown:
		return "Broken down"
	default:
		return "Out of service"
	}
}

func delayWords(s int32) string {
	switch {
	case s >= 60:
		return span(int64(s)) + " late"
	case s <= -60:
		return span(int64(-s)) + " early"
	default:
		return "on time"
	}
}

func recordName(s event.Source) string {
	if s.Topic == "" {
		return ""
	}
	return fmt.Sprintf("%s-%d@%d", s.Topic, s.Partition, s.Offset)
}

func clockTime(ms int64) string {
	if ms == 0 {
		return "–"
	}
	return time.UnixMilli(ms).In(cta.Location()).Format("15:04:05")
}

// span is a length of time in words: "45 s", "4 min", "2 h 5 min".
func span(s int64) string {
	switch {
	case s < 90:
		return strconv.FormatInt(s, 10) + " s"
	case s < 7200:
		return strconv.FormatInt((s+30)/60, 10) + " min"
	default:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	}
}

// count is a number with thousands apart.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
