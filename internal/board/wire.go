package board

import (
	"encoding/json"
	"math"
	"strconv"

	"ell/internal/event"
)

// AppendJSON appends the snapshot as one line of JSON, event "snapshot" of
// docs/stream.md. sent is wall time in milliseconds.
func (s *Snapshot) AppendJSON(dst []byte, sent int64) []byte {
	dst = append(dst, `{"v":1,"t0":`...)
	dst = strconv.AppendInt(dst, s.T0, 10)
	if s.HasClock {
		dst = append(dst, `,"clock":`...)
		dst = s.appendClock(dst)
	}
	dst = append(dst, `,"trains":[`...)
	dst = appendList(dst, s.Trains, s.appendTrain)
	dst = append(dst, `],"lines":[`...)
	dst = appendList(dst, s.Lines, s.appendLine)
	dst = append(dst, `],"stations":[`...)
	dst = appendList(dst, s.Stations, appendRow)
	dst = append(dst, `],"totals":[`...)
	dst = appendList(dst, s.Totals, appendTotal)
	dst = append(dst, `],"weather":`...)
	dst = s.appendWeather(dst, s.Weather)
	dst = append(dst, `,"rate":`...)
	dst = appendRate(dst, s.Rate)
	return appendTimes(dst, s.Appended, sent)
}

// appendDelta appends what changed, relative to next.T0.
func appendDelta(dst []byte, next *Snapshot, c *changes, appended, sent int64) []byte {
	dst = append(dst, '{')
	start := len(dst)
	key := func(name string) {
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, `":`...)
	}
	if c.clock {
		key("clock")
		dst = next.appendClock(dst)
	}
	if len(c.trains) > 0 {
		key("trains")
		dst = append(appendList(append(dst, '['), c.trains, next.appendTrain), ']')
	}
	if len(c.gone) > 0 {
		key("gone")
		dst = append(appendList(append(dst, '['), c.gone, appendString), ']')
	}
	if len(c.lines) > 0 {
		key("lines")
		dst = append(appendList(append(dst, '['), c.lines, next.appendLine), ']')
	}
	if len(c.rows) > 0 {
		key("stations")
		dst = append(appendList(append(dst, '['), c.rows, appendRow), ']')
	}
	if len(c.rowGone) > 0 {
		key("stations_gone")
		dst = append(appendList(append(dst, '['), c.rowGone, func(dst []byte, k rowKey) []byte {
			dst = append(appendString(append(dst, '['), k.Line), ',')
			return append(strconv.AppendInt(dst, int64(k.Station), 10), ']')
		}), ']')
	}
	if len(c.totals) > 0 {
		key("totals")
		dst = append(appendList(append(dst, '['), c.totals, appendTotal), ']')
	}
	if c.weather != nil {
		key("weather")
		dst = next.appendWeather(dst, c.weather)
	}
	if c.rate {
		key("rate")
		dst = appendRate(dst, next.Rate)
	}
	if appended > 0 {
		key("appended")
		dst = strconv.AppendInt(dst, appended, 10)
	}
	key("sent")
	dst = strconv.AppendInt(dst, sent, 10)
	return append(dst, '}')
}

func appendTimes(dst []byte, appended, sent int64) []byte {
	dst = append(dst, `,"appended":`...)
	dst = strconv.AppendInt(dst, appended, 10)
	dst = append(dst, `,"sent":`...)
	dst = strconv.AppendInt(dst, sent, 10)
	return append(dst, '}')
}

func appendList[T any](dst []byte, list []T, item func([]byte, T) []byte) []byte {
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item(dst, v)
	}
	return dst
}

// city appends a city time relative to T0; 0 stays 0 ("none"), and a time
// that falls on T0 or before it is no none.
func (s *Snapshot) city(dst []byte, at int64, canBeNone bool) []byte {
	if canBeNone {
		if at == 0 {
			return append(dst, '0')
		}
		return strconv.AppendInt(dst, max(at-s.T0, 1), 10)
	}
	return strconv.AppendInt(dst, at-s.T0, 10)
}

func (s *Snapshot) appendClock(dst []byte) []byte {
	c := &s.Clock
	dst = append(dst, `{"city":`...)
	dst = s.city(dst, c.CityTime, false)
	dst = append(dst, `,"wall":`...)
	dst = strconv.AppendInt(dst, c.WallTime, 10)
	dst = append(dst, `,"speed":`...)
	dst = appendFloat(dst, c.Speed, 64)
	dst = append(dst, `,"paused":`...)
	dst = strconv.AppendBool(dst, c.Paused)
	dst = append(dst, `,"control":`...)
	dst = strconv.AppendBool(dst, s.Control)
	dst = append(dst, `,"seed":`...)
	dst = strconv.AppendInt(dst, c.Seed, 10)
	dst = append(dst, `,"start":`...)
	dst = s.city(dst, c.Start, false)
	return append(dst, '}')
}

func (s *Snapshot) appendTrain(dst []byte, t *Train) []byte {
	dst = append(appendString(append(dst, '['), t.TrainID), ',')
	dst = append(strconv.AppendInt(dst, int64(t.PatternIndex), 10), ',')
	dst = append(strconv.AppendInt(dst, int64(t.Call), 10), ',')
	dst = append(dst, statusCode(t.Status), ',')
	dst = append(s.city(dst, t.ArrivedAt, false), ',')
	dst = append(s.city(dst, t.DepartAt, true), ',')
	dst = append(strconv.AppendInt(dst, int64(t.NextCall), 10), ',')
	dst = append(s.city(dst, t.DueAt, true), ',')
	dst = append(strconv.AppendInt(dst, int64(t.DelayS), 10), ',')
	return append(strconv.AppendInt(dst, t.Source.Appended, 10), ']')
}

func statusCode(status string) byte {
	switch status {
	case event.InService:
		return '0'
	case event.BrokenDown:
		return '2'
	default:
		return '1'
	}
}

func (s *Snapshot) appendLine(dst []byte, l event.LineStatus) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, l.Line)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, l.Status)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, l.Reason)
	dst = append(dst, `,"trains":`...)
	dst = strconv.AppendInt(dst, int64(l.Trains), 10)
	dst = append(dst, `,"headways":[`...)
	for i, dir := range [2]string{"a", "b"} {
		if i > 0 {
			dst = append(dst, ',')
		}
		h := headway(l.Headways, dir)
		dst = append(strconv.AppendInt(append(dst, '['), int64(h.Observed), 10), ',')
		dst = append(strconv.AppendInt(dst, int64(h.Scheduled), 10), ']')
	}
	dst = append(dst, `],"at":`...)
	dst = s.city(dst, l.UpdatedAt, true)
	return append(dst, '}')
}

func headway(list []event.Headway, dir string) event.Headway {
	for _, h := range list {
		if h.Direction == dir {
			return h
		}
	}
	return event.Headway{Direction: dir}
}

func appendRow(dst []byte, r event.StationOnLine) []byte {
	dst = append(appendString(append(dst, '['), r.Line), ',')
	dst = append(strconv.AppendInt(dst, int64(r.StationID), 10), ',')
	dst = append(strconv.AppendInt(dst, int64(r.Order), 10), ',')
	return append(appendString(dst, r.StationName), ']')
}

func appendTotal(dst []byte, t Total) []byte {
	dst = append(strconv.AppendInt(append(dst, '['), int64(t.StationID), 10), ',')
	dst = append(strconv.AppendInt(dst, t.Total, 10), ',')
	return append(strconv.AppendInt(dst, t.Last5, 10), ']')
}

func (s *Snapshot) appendWeather(dst []byte, w *event.Weather) []byte {
	if w == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"at":`...)
	dst = s.city(dst, w.Timestamp, false)
	dst = append(dst, `,"temperature":`...)
	dst = appendFloat(dst, math.Round(float64(w.Temperature)*10)/10, 64)
	dst = append(dst, `,"status":`...)
	return append(appendString(dst, w.Status), '}')
}

func appendRate(dst []byte, r Rate) []byte {
	dst = append(dst, `{"entries_min":`...)
	dst = strconv.AppendInt(dst, r.EntriesMin, 10)
	dst = append(dst, `,"arrivals_min":`...)
	return append(strconv.AppendInt(dst, r.ArrivalsMin, 10), '}')
}

// appendFloat appends a finite number; the fold lets no other in.
func appendFloat(dst []byte, f float64, bits int) []byte {
	return strconv.AppendFloat(dst, f, 'f', -1, bits)
}

// appendString appends a JSON string. Anything that is not plain text goes
// through encoding/json, which also escapes markup and line separators.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			out, err := json.Marshal(s)
			if err != nil {
				return append(dst, `""`...) // cannot be: a string always has a JSON form
			}
			return append(dst, out...)
		}
	}
	dst = append(append(dst, '"'), s...)
	return append(dst, '"')
}
