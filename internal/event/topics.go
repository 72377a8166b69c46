package event

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// DefaultPrefix begins the names of topics and groups.
const DefaultPrefix = "org.chicago.cta."

// Partitions is how many partitions a keyed topic has. State moves between
// instances in these units, so it bounds how many can share a stage.
const Partitions = 12

// Layout is how the sensors' topics are cut.
type Layout string

// The two layouts. PerStation is a topic a station, as the original
// specification asks; one task has the arrivals of all lines then. Shared is one
// topic for all arrivals, partitioned by line, and one for all entries, by
// station: for networks with thousands of stations, and for clusters.
const (
	PerStation Layout = "per-station"
	Shared     Layout = "shared"
)

// Names gives every topic its name.
type Names struct {
	Prefix string // of every topic; the default one is left out before TURNSTILE_SUMMARY; "" is no prefix
	Layout Layout
}

// Arrivals is the topic of a station's arrivals; in the shared layout [Names.ByLine].
func (n Names) Arrivals(station int32, slug string) string {
	if n.Layout == Shared {
		return n.ByLine()
	}
	return n.Prefix + "station.arrivals." + strconv.Itoa(int(station)) + "." + slug
}

// Turnstiles is the topic of a station's entries.
func (n Names) Turnstiles(station int32, slug string) string {
	if n.Layout == Shared {
		return n.Prefix + "turnstiles.v1"
	}
	return n.Prefix + "station.turnstiles." + strconv.Itoa(int(station)) + "." + slug
}

// ArrivalsPattern is a regular expression for the whole names of all topics of arrivals.
func (n Names) ArrivalsPattern() string {
	if n.Layout == Shared {
		return "^" + regexp.QuoteMeta(n.Arrivals(0, "")) + "$"
	}
	return "^" + regexp.QuoteMeta(n.Prefix) + `station\.arrivals\.[0-9]+\..+$`
}

// TurnstilesPattern is a regular expression for the whole names of all topics of entries.
func (n Names) TurnstilesPattern() string {
	if n.Layout == Shared {
		return "^" + regexp.QuoteMeta(n.Turnstiles(0, "")) + "$"
	}
	return "^" + regexp.QuoteMeta(n.Prefix) + `station\.turnstiles\.[0-9]+\..+$`
}

// StationOf is the station whose per-station topic this is; ok is false for other topics.
func (n Names) StationOf(topic string) (station int32, ok bool) {
	rest, found := strings.CutPrefix(topic, n.Prefix+"station.arrivals.")
	if !found {
		rest, found = strings.CutPrefix(topic, n.Prefix+"station.turnstiles.")
	}
	id, _, dot := strings.Cut(rest, ".")
	v, err := strconv.ParseInt(id, 10, 32)
	if !found || !dot || err != nil || v < 0 {
		return 0, false
	}
	return int32(v), true
}

// KindOf is the kind of sensor of a per-station topic: arrivals or turnstiles.
func (n Names) KindOf(topic string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(topic, n.Prefix+"station."), ".")
	return kind
}

// Weather is the topic of weather readings.
func (n Names) Weather() string { return n.Prefix + "weather.v1" }

// Stations is the topic of the database's stations table.
func (n Names) Stations() string { return n.Prefix + "stations" }

// StationLines is the topic of the database's station_lines table.
func (n Names) StationLines() string { return n.Prefix + "station_lines" }

// StationsTable is the topic of stations on lines, reshaped.
func (n Names) StationsTable() string { return n.Prefix + "stations.table.v1" }

// Summary is the topic of entries a station; the assignment fixes its name, and
// cities of other prefixes have one of their own.
func (n Names) Summary() string {
	if n.Prefix == DefaultPrefix {
		return summary
	}
	return n.Prefix + summary
}

const summary = "TURNSTILE_SUMMARY"

// ByLine is the topic of arrivals in the shared layout, partitioned by line, with
// the city's clock between them ([TickDue]).
func (n Names) ByLine() string { return n.Prefix + "arrivals.by_line.v1" }

// Trains is the topic of where each train is.
func (n Names) Trains() string { return n.Prefix + "trains.v1" }

// Lines is the topic of how each line runs.
func (n Names) Lines() string { return n.Prefix + "lines.v1" }

// Windows is the topic of entries a station in windows of time.
func (n Names) Windows() string { return n.Prefix + "turnstile.windows.v1" }

// Clock is the topic of the city's clock.
func (n Names) Clock() string { return n.Prefix + "city.clock.v1" }

// Commands is the topic of commands to the city.
func (n Names) Commands() string { return n.Prefix + "city.commands.v1" }

// DeadLetter is the topic of records that cannot be understood.
func (n Names) DeadLetter() string { return n.Prefix + "deadletter.v1" }

// Changelog is the topic of a stage's private state.
func (n Names) Changelog(stage string) string { return n.Prefix + "process." + stage + ".v1" }

// LinesChangelog is the topic of the lines' state: of one task for each
// partition of arrivals by line, or of the one that has all lines.
func (n Names) LinesChangelog() string {
	if n.Layout == PerStation {
		return n.Changelog("rail")
	}
	return n.Changelog(StageLines)
}

// ConnectOffsets is the topic of how far the station source has read.
func (n Names) ConnectOffsets() string { return n.Prefix + "connect.offsets" }

// Stages of the processing that keep state in a changelog, and the city.
const (
	StageStations   = "stations"
	StageTurnstiles = "turnstiles"
	StageLines      = "lines"
	StageCity       = "city"
)

// TopicSpec says how a topic has to be. Zero retentions and segment sizes are
// left to the broker; -1 is no bound.
type TopicSpec struct {
	Name           string
	Partitions     int32
	Compact        bool // keep the last record of each key
	Delete         bool // remove what is older or more than the retention
	RetentionMS    int64
	RetentionBytes int64 // a partition
	SegmentBytes   int64
}

// StationRef is what a topic's name tells of a station.
type StationRef struct {
	ID   int32
	Slug string
}

// Retention bounds topics.
type Retention struct {
	Sensors      time.Duration // arrivals and entries
	SensorBytes  int64         // a partition of them; -1: no bound
	Derived      time.Duration // by-line arrivals, weather, commands, windows
	DerivedBytes int64
	DeadLetters  time.Duration
	// Halves makes a segment half of what a partition keeps, since a broker drops
	// whole segments only; without it, and where nothing is bounded, segments are
	// the broker's.
	Halves bool
}

// ClusterRetention is for a real cluster: a week of sensors, bounded by time.
func ClusterRetention() Retention {
	return Retention{
		Sensors: 7 * 24 * time.Hour, SensorBytes: -1,
		Derived: 2 * 24 * time.Hour, DerivedBytes: -1,
		DeadLetters: 30 * 24 * time.Hour,
	}
}

// EmbeddedRetention bounds the one-process mode by size, since the embedded
// broker keeps some 110 bytes of memory for each batch on its disk, and a quiet topic's
// batches hold one record: 288 sensors' topics × 36 KiB are 10 MiB of disk and about as much of memory.
// A partition of the shared layout keeps what a dozen stations' topics would.
func EmbeddedRetention(l Layout) Retention {
	r := Retention{
		Sensors: 24 * time.Hour, SensorBytes: 24 << 10,
		Derived: 24 * time.Hour, DerivedBytes: 192 << 10,
		DeadLetters: 7 * 24 * time.Hour, Halves: true,
	}
	if l == Shared {
		r.SensorBytes *= 12
	}
	return r
}

// largestSegment is what a bounded topic's segments are at most: a log that is
// to be kept whole rolls now and then as well.
const largestSegment = 4 << 20

// segment is the size of a partition's segments when it keeps so many bytes.
func (r Retention) segment(kept int64) int64 {
	if !r.Halves || kept <= 0 {
		return 0
	}
	return min(max(kept/2, 1), largestSegment)
}

// Specs lists every topic with its settings, in a stable order.
func (n Names) Specs(stations []StationRef, r Retention) []TopicSpec {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	sensor := func(name string, partitions int32) TopicSpec {
		return TopicSpec{Name: name, Partitions: partitions, Delete: true, RetentionMS: ms(r.Sensors), RetentionBytes: r.SensorBytes, SegmentBytes: r.segment(r.SensorBytes)}
	}
	derived := func(name string, partitions int32) TopicSpec {
		return TopicSpec{Name: name, Partitions: partitions, Delete: true, RetentionMS: ms(r.Derived), RetentionBytes: r.DerivedBytes, SegmentBytes: r.segment(r.DerivedBytes)}
	}
	table := func(name string, partitions int32) TopicSpec {
		return TopicSpec{Name: name, Partitions: partitions, Compact: true}
	}
	var out []TopicSpec
	if n.Layout == Shared {
		out = append(out, sensor(n.ByLine(), Partitions), sensor(n.Turnstiles(0, ""), Partitions))
	} else {
		for _, s := range stations {
			out = append(out, sensor(n.Arrivals(s.ID, s.Slug), 1))
		}
		for _, s := range stations {
			out = append(out, sensor(n.Turnstiles(s.ID, s.Slug), 1))
		}
	}
	lines := int32(Partitions)
	if n.Layout == PerStation {
		lines = 1 // arrivals have a partition of each station's topic, and go to one task
	}
	windows := table(n.Windows(), Partitions)
	windows.Delete, windows.RetentionMS, windows.RetentionBytes = true, ms(r.Derived), r.DerivedBytes
	windows.SegmentBytes = r.segment(r.DerivedBytes)
	dead := derived(n.DeadLetter(), 1)
	dead.RetentionMS = ms(r.DeadLetters)
	return append(out,
		derived(n.Weather(), 1),
		table(n.Stations(), 1), table(n.StationLines(), 1), table(n.StationsTable(), 1), table(n.ConnectOffsets(), 1),
		table(n.Summary(), Partitions), windows,
		table(n.Trains(), Partitions), table(n.Lines(), Partitions),
		table(n.Clock(), 1), derived(n.Commands(), 1), dead,
		table(n.Changelog(StageCity), 1), table(n.Changelog(StageStations), 1),
		table(n.Changelog(StageTurnstiles), Partitions), table(n.LinesChangelog(), lines),
	)
}

// Validate checks that the names are legal for Kafka.
func (n Names) Validate() error {
	if n.Layout != PerStation && n.Layout != Shared {
		return fmt.Errorf("topic layout %q is neither %s nor %s", n.Layout, PerStation, Shared)
	}
	if !legalTopic.MatchString(n.Prefix) {
		return fmt.Errorf("topic prefix %q holds other characters than letters, digits, dots, dashes and underscores, or is longer than 100", n.Prefix)
	}
	return nil
}

var legalTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

// Partition is the partition of a key among n: Kafka's own hash (murmur2), so
// that any client agrees.
func Partition(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n //nolint:gosec // the mask leaves 31 bits
}

// StationPartition is the partition of a station in keyed topics: that of its
// id as text, the key of TURNSTILE_SUMMARY.
func StationPartition(station int32) int32 {
	var b [11]byte
	return Partition(strconv.AppendInt(b[:0], int64(station), 10), Partitions)
}

// ArrivalPartition is where an arrival of a line belongs in its topic.
func (n Names) ArrivalPartition(line string) int32 {
	if n.Layout == Shared {
		return LinePartition(line)
	}
	return 0
}

// TurnstilePartition is where an entry at a station belongs in its topic.
func (n Names) TurnstilePartition(station int32) int32 {
	if n.Layout == Shared {
		return StationPartition(station)
	}
	return 0
}

// LinePartition is the partition of a line. The lines of the 'L' are spread
// evenly; others go by hash.
func LinePartition(line string) int32 {
	switch line {
	case "red":
		return 0
	case "blue":
		return 1
	case "brown":
		return 2
	case "green":
		return 3
	case "orange":
		return 4
	case "pink":
		return 5
	case "purple":
		return 6
	case "yellow":
		return 7
	}
	return Partition([]byte(line), Partitions)
}

func murmur2(b []byte) uint32 {
	const (
		seed uint32 = 0x9747b28c
		m    uint32 = 0x5bd1e995
		r           = 24
	)
	h := seed ^ uint32(len(b)) //nolint:gosec // keys are far shorter than 4 GiB
	for len(b) >= 4 {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		b = b[4:]
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
