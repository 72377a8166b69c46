package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Encoder writes records in Confluent framing. Every method appends one key or
// value to dst and returns the result; nothing else is allocated. An Encoder
// is immutable and safe for concurrent use.
type Encoder struct {
	frame [kinds][frameSize]byte
}

// NewEncoder returns an Encoder that writes with the given schema ids; each of
// [Schemas] has to have one.
func NewEncoder(ids IDs) (*Encoder, error) {
	var e Encoder
	for k := range kinds {
		id, ok := ids[k.String()]
		if !ok {
			return nil, fmt.Errorf("new encoder: schema %s has no id; register it first", k)
		}
		if err := checkID(k.String(), id); err != nil {
			return nil, fmt.Errorf("new encoder: %w", err)
		}
		AppendFrame(e.frame[k][:0], id)
	}
	return &e, nil
}

func (e *Encoder) begin(dst []byte, k kind) []byte { return append(dst, e.frame[k][:]...) }

func appendLong(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendInt(dst []byte, v int32) []byte { return appendLong(dst, int64(v)) }

func appendText(dst []byte, s string) []byte {
	return append(appendLong(dst, int64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func appendDouble(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// Branches of a union ["null", T], as they stand on the wire.
const (
	branchNull = 0
	branchSome = 2
)

// AppendArrivalKey appends the key of an arrival; ts is event time in milliseconds.
func (e *Encoder) AppendArrivalKey(dst []byte, station int32, ts int64) []byte {
	return appendLong(appendInt(e.begin(dst, arrivalKey), station), ts)
}

// AppendArrival appends the value of an arrival. Timestamp is in the key and
// Pattern in the header [HeaderPattern].
func (e *Encoder) AppendArrival(dst []byte, a *Arrival) []byte {
	dst = appendInt(e.begin(dst, arrivalValue), a.StationID)
	dst = appendText(dst, a.TrainID)
	dst = appendText(dst, a.Direction)
	dst = appendText(dst, a.Line)
	dst = appendText(dst, a.TrainStatus)
	if a.PrevStationID == 0 {
		dst = append(dst, branchNull)
	} else {
		dst = appendInt(append(dst, branchSome), a.PrevStationID)
	}
	if a.PrevDirection == "" {
		return append(dst, branchNull)
	}
	return appendText(append(dst, branchSome), a.PrevDirection)
}

// AppendTurnstileKey appends the key of an entry; ts is event time in milliseconds.
func (e *Encoder) AppendTurnstileKey(dst []byte, station int32, ts int64) []byte {
	return appendLong(appendInt(e.begin(dst, turnstileKey), station), ts)
}

// AppendTurnstile appends the value of an entry. Timestamp is in the key.
func (e *Encoder) AppendTurnstile(dst []byte, t *Turnstile) []byte {
	dst = appendInt(e.begin(dst, turnstileValue), t.StationID)
	dst = appendText(dst, t.StationName)
	return appendText(dst, t.Line)
}

// AppendWeatherKey appends the key of a reading; ts is event time in milliseconds.
func (e *Encoder) AppendWeatherKey(dst []byte, ts int64) []byte {
	return appendLong(e.begin(dst, weatherKey), ts)
}

// AppendWeather appends the value of a reading. Timestamp is in the key.
func (e *Encoder) AppendWeather(dst []byte, w *Weather) []byte {
	dst = binary.LittleEndian.AppendUint32(e.begin(dst, weatherValue), math.Float32bits(w.Temperature))
	return appendText(dst, w.Status)
}

// AppendTrainKey appends the key of a train's place.
func (e *Encoder) AppendTrainKey(dst []byte, id string) []byte {
	return appendText(e.begin(dst, trainKey), id)
}

// AppendTrain appends a train's place.
func (e *Encoder) AppendTrain(dst []byte, t *Train) []byte {
	dst = appendText(e.begin(dst, trainValue), t.TrainID)
	dst = appendText(dst, t.Line)
	dst = appendText(dst, t.Pattern)
	dst = appendInt(dst, t.Call)
	dst = appendInt(dst, t.StationID)
	dst = appendText(dst, t.Direction)
	dst = appendText(dst, t.Status)
	dst = appendLong(dst, t.ArrivedAt)
	dst = appendLong(dst, t.DepartAt)
	dst = appendInt(dst, t.NextCall)
	dst = appendLong(dst, t.DueAt)
	dst = appendInt(dst, t.DelayS)
	dst = appendLong(dst, t.Late)
	return appendSource(dst, &t.Source)
}

func appendSource(dst []byte, s *Source) []byte {
	dst = appendText(dst, s.Topic)
	dst = appendInt(dst, s.Partition)
	dst = appendLong(dst, s.Offset)
	return appendLong(dst, s.Appended)
}

// AppendLineKey appends the key of a line's status.
func (e *Encoder) AppendLineKey(dst []byte, line string) []byte {
	return appendText(e.begin(dst, lineKey), line)
}

// AppendLine appends a line's status.
func (e *Encoder) AppendLine(dst []byte, l *LineStatus) []byte {
	dst = appendText(e.begin(dst, lineValue), l.Line)
	dst = appendText(dst, l.Status)
	dst = appendText(dst, l.Reason)
	dst = appendInt(dst, l.Trains)
	if len(l.Headways) > 0 {
		dst = appendLong(dst, int64(len(l.Headways)))
		for i := range l.Headways {
			h := &l.Headways[i]
			dst = appendText(dst, h.Direction)
			dst = appendInt(dst, h.Observed)
			dst = appendInt(dst, h.Scheduled)
		}
	}
	dst = append(dst, 0) // the end of the array
	dst = appendLong(dst, l.UpdatedAt)
	dst = appendLong(dst, l.Late)
	return appendSource(dst, &l.Source)
}

// AppendWindowKey appends the key of a window; start is event time in milliseconds.
func (e *Encoder) AppendWindowKey(dst []byte, station int32, start int64) []byte {
	return appendLong(appendInt(e.begin(dst, windowKey), station), start)
}

// AppendWindow appends a window.
func (e *Encoder) AppendWindow(dst []byte, w *Window) []byte {
	dst = appendInt(e.begin(dst, windowValue), w.StationID)
	dst = appendLong(dst, w.Start)
	dst = appendLong(dst, w.End)
	return appendLong(dst, w.Count)
}

// AppendClockKey appends the one key of the city's clock.
func (e *Encoder) AppendClockKey(dst []byte) []byte {
	return appendText(e.begin(dst, clockKey), "clock")
}

// AppendClock appends the city's clock.
func (e *Encoder) AppendClock(dst []byte, c *Clock) []byte {
	dst = appendLong(e.begin(dst, clockValue), c.CityTime)
	dst = appendLong(dst, c.WallTime)
	dst = appendDouble(dst, c.Speed)
	dst = appendBool(dst, c.Paused)
	dst = appendLong(dst, c.Seed)
	dst = appendLong(dst, c.Start)
	dst = appendText(dst, c.Incidents)
	return appendLong(dst, c.WeatherSent)
}

// AppendCommandKey appends the key of a command.
func (e *Encoder) AppendCommandKey(dst []byte, id string) []byte {
	return appendText(e.begin(dst, commandKey), id)
}

// AppendCommand appends a command.
func (e *Encoder) AppendCommand(dst []byte, c *Command) []byte {
	dst = appendText(e.begin(dst, commandValue), c.ID)
	dst = appendLong(dst, c.IssuedAt)
	if c.Speed == nil {
		dst = append(dst, branchNull)
	} else {
		dst = appendDouble(append(dst, branchSome), *c.Speed)
	}
	if c.Paused == nil {
		dst = append(dst, branchNull)
	} else {
		dst = appendBool(append(dst, branchSome), *c.Paused)
	}
	i := c.Incident
	if i == nil {
		return append(dst, branchNull)
	}
	dst = appendText(append(dst, branchSome), i.Kind)
	dst = appendText(dst, i.Line)
	dst = appendText(dst, i.TrainID)
	dst = appendInt(dst, i.StationID)
	dst = appendText(dst, i.Direction)
	return appendInt(dst, i.Minutes)
}
