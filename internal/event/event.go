// Package event is what is on the log: the Go types of every record, their
// Avro schemas (schemas/*.avsc), Confluent framing, bounded decoding and the
// names of topics. It knows no client library and no clock.
package event

// Train status as it stands on the wire.
const (
	InService    = "in_service"
	OutOfService = "out_of_service"
	BrokenDown   = "broken_down"
)

// Arrival is one train seen by the sensor of one platform. Times are
// milliseconds since the epoch, event time (the city's clock).
type Arrival struct {
	StationID     int32
	Timestamp     int64
	TrainID       string
	Direction     string // "a" or "b"
	Line          string
	TrainStatus   string
	PrevStationID int32  // 0: none (first placement)
	PrevDirection string // "": none
	// Pattern is the trip pattern on the train's destination sign. It
	// travels as the record header "pattern", not in the value, so that the
	// value stays what the assignment asks for; "" where the header is absent.
	Pattern string
}

// Turnstile is one person entering a station.
type Turnstile struct {
	StationID   int32
	Timestamp   int64
	StationName string
	Line        string
}

// Weather is one reading. Status is one of sunny, partly_cloudy, cloudy,
// windy, precipitation; Temperature is in degrees Fahrenheit.
type Weather struct {
	Timestamp   int64
	Temperature float32
	Status      string
}

// Source says which record of the log something was made from.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
	Appended  int64 // the record's own timestamp: wall time in milliseconds
}

// Train is where a train is and what is expected of it (topic trains.v1, key train id).
type Train struct {
	TrainID   string
	Line      string
	Pattern   string
	Call      int32 // index in the pattern's calls: where it was last seen
	StationID int32
	Direction string
	Status    string
	ArrivedAt int64 // event time of the last arrival, ms
	DepartAt  int64 // predicted departure from it, ms
	NextCall  int32 // -1: none (out of service)
	DueAt     int64 // predicted arrival at NextCall, ms; 0: none
	DelayS    int32 // seconds behind the scheduled run time since the trip began; negative is early
	Late      int64 // arrivals of this train that came out of order and were only counted
	Source    Source
}

// Headway is the gap between trains of a line in one direction, in seconds.
type Headway struct {
	Direction string
	Observed  int32 // median of the recent gaps; 0: not known
	Scheduled int32 // by timetable now; 0: no service scheduled
}

// Line status words, worst first.
const (
	StatusDelays       = "delays"     // a train stands far too long, or trains run 5 min or more late
	StatusLongWaits    = "long_waits" // headways well over the timetable's
	StatusSlow         = "slow"       // run times well over the timetable's
	StatusGood         = "good_service"
	StatusNotScheduled = "not_scheduled"
	StatusNoService    = "no_service" // scheduled, but nothing seen
)

// LineStatus is how a line is running (topic lines.v1, key line).
type LineStatus struct {
	Line      string
	Status    string
	Reason    string // a sentence for riders; "" with good service
	Trains    int32  // in service
	Headways  []Headway
	UpdatedAt int64 // event time, ms
	Late      int64 // late arrivals counted on this line
	Source    Source
}

// Window is the entries of one station in one 5-minute window of event time
// (topic turnstile.windows.v1, key station id and start).
type Window struct {
	StationID int32
	Start     int64 // ms
	End       int64 // ms
	Count     int64
}

// MinSpeed and MaxSpeed bound the speed of a city, in city seconds to a wall
// second. At the most a day takes twelve seconds, and Chicago makes some 60,000
// events a second.
const (
	MinSpeed = 0.1
	MaxSpeed = 7200
)

// Clock is the city's clock and its checkpoint (topic city.clock.v1, key
// "clock"): everything up to CityTime has been emitted.
type Clock struct {
	CityTime  int64   // ms
	WallTime  int64   // ms
	Speed     float64 // MinSpeed to MaxSpeed
	Paused    bool
	Seed      int64
	Start     int64  // ms: the city's first moment
	Incidents string // level: off, light, normal, heavy
	// WeatherSent is the event time of the last reading the REST Proxy took, ms.
	WeatherSent int64
}

// Command asks the city for something (topic city.commands.v1). Nil fields
// are left as they are.
type Command struct {
	ID       string
	IssuedAt int64 // wall time, ms
	Speed    *float64
	Paused   *bool
	// Incident, if set, starts one now.
	Incident *Incident
}

// Incident is a disturbance of service.
type Incident struct {
	Kind      string // slow_zone, held_train, breakdown
	Line      string
	TrainID   string // held_train, breakdown
	StationID int32  // slow_zone: the leg that begins here
	Direction string
	Minutes   int32
}

// StationOnLine is a row of the reshaped stations table (topic stations.table.v1), JSON.
type StationOnLine struct {
	StationID   int32  `json:"station_id"`
	StationName string `json:"station_name"`
	Order       int32  `json:"order"`
	Line        string `json:"line"`
}

// Summary is the total of entries of a station (topic TURNSTILE_SUMMARY).
type Summary struct {
	StationID int32 `json:"STATION_ID"`
	Count     int64 `json:"COUNT"`
}
