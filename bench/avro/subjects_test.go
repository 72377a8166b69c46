package avro_test

import (
	"testing"

	"ell/internal/event"
)

// The records as structs for hamba/avro; times stay numbers, as with Ell.
type (
	placeTime struct {
		StationID int32 `avro:"station_id"`
		Timestamp int64 `avro:"timestamp"`
	}
	arrival struct {
		StationID     int32   `avro:"station_id"`
		TrainID       string  `avro:"train_id"`
		Direction     string  `avro:"direction"`
		Line          string  `avro:"line"`
		TrainStatus   string  `avro:"train_status"`
		PrevStationID *int32  `avro:"prev_station_id"`
		PrevDirection *string `avro:"prev_direction"`
	}
	turnstile struct {
		StationID   int32  `avro:"station_id"`
		StationName string `avro:"station_name"`
		Line        string `avro:"line"`
	}
	weatherKey struct {
		Timestamp int64 `avro:"timestamp"`
	}
	weather struct {
		Temperature float32 `avro:"temperature"`
		Status      string  `avro:"status"`
	}
	trainKey struct {
		TrainID string `avro:"train_id"`
	}
	train struct {
		TrainID   string `avro:"train_id"`
		Line      string `avro:"line"`
		Pattern   string `avro:"pattern"`
		Call      int32  `avro:"call"`
		StationID int32  `avro:"station_id"`
		Direction string `avro:"direction"`
		Status    string `avro:"status"`
		ArrivedAt int64  `avro:"arrived_at"`
		DepartAt  int64  `avro:"depart_at"`
		NextCall  int32  `avro:"next_call"`
		DueAt     int64  `avro:"due_at"`
		DelayS    int32  `avro:"delay_s"`
		Late      int64  `avro:"late"`
		Source    source `avro:"source"`
	}
	source struct {
		Topic     string `avro:"topic"`
		Partition int32  `avro:"partition"`
		Offset    int64  `avro:"offset"`
		Appended  int64  `avro:"appended"`
	}
	lineKey struct {
		Line string `avro:"line"`
	}
	line struct {
		Line      string    `avro:"line"`
		Status    string    `avro:"status"`
		Reason    string    `avro:"reason"`
		Trains    int32     `avro:"trains"`
		Headways  []headway `avro:"headways"`
		UpdatedAt int64     `avro:"updated_at"`
		Late      int64     `avro:"late"`
		Source    source    `avro:"source"`
	}
	headway struct {
		Direction string `avro:"direction"`
		Observed  int32  `avro:"observed"`
		Scheduled int32  `avro:"scheduled"`
	}
	windowKey struct {
		StationID int32 `avro:"station_id"`
		Start     int64 `avro:"start"`
	}
	window struct {
		StationID int32 `avro:"station_id"`
		Start     int64 `avro:"start"`
		End       int64 `avro:"end"`
		Count     int64 `avro:"count"`
	}
	clockKey struct {
		Name string `avro:"name"`
	}
	clock struct {
		CityTime    int64   `avro:"city_time"`
		WallTime    int64   `avro:"wall_time"`
		Speed       float64 `avro:"speed"`
		Paused      bool    `avro:"paused"`
		Seed        int64   `avro:"seed"`
		Start       int64   `avro:"start"`
		Incidents   string  `avro:"incidents"`
		WeatherSent int64   `avro:"weather_sent"`
	}
	commandKey struct {
		ID string `avro:"id"`
	}
	command struct {
		ID       string    `avro:"id"`
		IssuedAt int64     `avro:"issued_at"`
		Speed    *float64  `avro:"speed"`
		Paused   *bool     `avro:"paused"`
		Incident *incident `avro:"incident"`
	}
	incident struct {
		Kind      string `avro:"kind"`
		Line      string `avro:"line"`
		TrainID   string `avro:"train_id"`
		StationID int32  `avro:"station_id"`
		Direction string `avro:"direction"`
		Minutes   int32  `avro:"minutes"`
	}
)

type texts map[event.ID]string

func (t texts) Schema(id event.ID) (string, error) { return t[id], nil }

const noon = 1776196800000

// subjects are the record types with a sample each, of usual size.
func subjects(tb testing.TB) []subject {
	tb.Helper()
	ids, known := event.IDs{}, texts{}
	for i, s := range event.Schemas() {
		ids[s.Name], known[i+1] = i+1, s.Text
	}
	e, err := event.NewEncoder(ids)
	if err != nil {
		tb.Fatal(err)
	}
	d := event.NewDecoder(known)
	from := event.Source{Topic: "org.chicago.cta.station.arrivals.40900.howard", Offset: 123456, Appended: noon + 40}
	speed, paused := 60.0, true

	a := &event.Arrival{StationID: 40900, Timestamp: noon, TrainID: "RD101", Direction: "b", Line: "red", TrainStatus: event.InService, PrevStationID: 41190, PrevDirection: "a"}
	u := &event.Turnstile{StationID: 40900, Timestamp: noon, StationName: "Howard", Line: "red"}
	w := &event.Weather{Timestamp: noon, Temperature: 51.5, Status: "partly_cloudy"}
	t := &event.Train{TrainID: "RD101", Line: "red", Pattern: "red-main", Call: 12, StationID: 40900, Direction: "b", Status: event.InService, ArrivedAt: noon, DepartAt: noon + 25_000, NextCall: 13, DueAt: noon + 110_000, DelayS: -12, Late: 1, Source: from}
	l := &event.LineStatus{Line: "red", Status: event.StatusGood, Trains: 38, Headways: []event.Headway{{Direction: "a", Observed: 244, Scheduled: 240}, {Direction: "b", Observed: 251, Scheduled: 240}}, UpdatedAt: noon, Late: 2, Source: from}
	n := &event.Window{StationID: 40900, Start: noon, End: noon + 300_000, Count: 271}
	k := &event.Clock{CityTime: noon, WallTime: noon + 5, Speed: 10, Seed: 1, Start: noon - 86_400_000, Incidents: "normal", WeatherSent: noon - 600_000}
	m := &event.Command{ID: "b5f2c0de", IssuedAt: noon, Speed: &speed, Paused: &paused, Incident: &event.Incident{Kind: "slow_zone", Line: "red", StationID: 40900, Direction: "a", Minutes: 20}}

	var (
		da event.Arrival
		du event.Turnstile
		dw event.Weather
		dt event.Train
		dl event.LineStatus
		dn event.Window
		dk event.Clock
		dm event.Command
	)
	both := func(key func([]byte) []byte, value func([]byte) []byte) func([]byte) ([]byte, []byte) {
		return func(b []byte) ([]byte, []byte) {
			from := len(b)
			b = key(b)
			to := len(b)
			b = value(b)
			return b[from:to:to], b[to:]
		}
	}
	out := []subject{
		{
			name: "arrival", sample: a, keyed: true, key: func() any { return &placeTime{} }, value: func() any { return &arrival{} },
			encode: both(func(b []byte) []byte { return e.AppendArrivalKey(b, a.StationID, a.Timestamp) }, func(b []byte) []byte { return e.AppendArrival(b, a) }),
			decode: func(r *event.Record) (any, error) { return &da, d.Arrival(r, &da) },
		},
		{
			name: "turnstile", sample: u, keyed: true, key: func() any { return &placeTime{} }, value: func() any { return &turnstile{} },
			encode: both(func(b []byte) []byte { return e.AppendTurnstileKey(b, u.StationID, u.Timestamp) }, func(b []byte) []byte { return e.AppendTurnstile(b, u) }),
			decode: func(r *event.Record) (any, error) { return &du, d.Turnstile(r, &du) },
		},
		{
			name: "weather", sample: w, keyed: true, key: func() any { return &weatherKey{} }, value: func() any { return &weather{} },
			encode: both(func(b []byte) []byte { return e.AppendWeatherKey(b, w.Timestamp) }, func(b []byte) []byte { return e.AppendWeather(b, w) }),
			decode: func(r *event.Record) (any, error) { return &dw, d.Weather(r, &dw) },
		},
		{
			name: "train", sample: t, key: func() any { return &trainKey{} }, value: func() any { return &train{} },
			encode: both(func(b []byte) []byte { return e.AppendTrainKey(b, t.TrainID) }, func(b []byte) []byte { return e.AppendTrain(b, t) }),
			decode: func(r *event.Record) (any, error) { return &dt, d.Train(r, &dt) },
		},
		{
			name: "line", sample: l, key: func() any { return &lineKey{} }, value: func() any { return &line{} },
			encode: both(func(b []byte) []byte { return e.AppendLineKey(b, l.Line) }, func(b []byte) []byte { return e.AppendLine(b, l) }),
			decode: func(r *event.Record) (any, error) { return &dl, d.Line(r, &dl) },
		},
		{
			name: "window", sample: n, key: func() any { return &windowKey{} }, value: func() any { return &window{} },
			encode: both(func(b []byte) []byte { return e.AppendWindowKey(b, n.StationID, n.Start) }, func(b []byte) []byte { return e.AppendWindow(b, n) }),
			decode: func(r *event.Record) (any, error) { return &dn, d.Window(r, &dn) },
		},
		{
			name: "clock", sample: k, key: func() any { return &clockKey{} }, value: func() any { return &clock{} },
			encode: both(e.AppendClockKey, func(b []byte) []byte { return e.AppendClock(b, k) }),
			decode: func(r *event.Record) (any, error) { return &dk, d.Clock(r, &dk) },
		},
		{
			name: "command", sample: m, key: func() any { return &commandKey{} }, value: func() any { return &command{} },
			encode: both(func(b []byte) []byte { return e.AppendCommandKey(b, m.ID) }, func(b []byte) []byte { return e.AppendCommand(b, m) }),
			decode: func(r *event.Record) (any, error) { return &dm, d.Command(r, &dm) },
		},
	}
	for i := range out {
		out[i].rec.Key, out[i].rec.Value = out[i].encode(nil)
	}
	return out
}
