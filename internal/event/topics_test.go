package event_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/event"
)

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

var stations = []event.StationRef{{ID: 40890, Slug: "ohare"}, {ID: 40380, Slug: "clark_and_lake"}}

func TestKeysGoWhereKafkasOwnClientsPutThem(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for _, key := range []string{"", "a", "ab", "abc", "abcd", "40380", "40890", "red", strings.Repeat("x", 1000), "\x00\x00\x00\x00\x01\xff"} {
		for _, n := range []int32{1, 2, 12, 97} {
			want := theirs.Partition(&kgo.Record{Key: []byte(key)}, int(n))
			if got := event.Partition([]byte(key), n); int(got) != want {
				t.Errorf("%q of %d: got %d, want %d", key, n, got, want)
			}
		}
	}
	if got, want := event.StationPartition(40380), event.Partition([]byte("40380"), event.Partitions); got != want {
		t.Errorf("a station is in %d, its total in %d", got, want)
	}
}

func TestEachLineHasAPartitionOfItsOwn(t *testing.T) {
	seen := map[int32]string{}
	for _, line := range []string{"red", "blue", "brown", "green", "orange", "pink", "purple", "yellow"} {
		p := event.LinePartition(line)
		if other := seen[p]; other != "" || p < 0 || p >= event.Partitions {
			t.Errorf("%s is in %d, with %q", line, p, other)
		}
		seen[p] = line
	}
	if p := event.LinePartition("a line of another city"); p < 0 || p >= event.Partitions {
		t.Errorf("partition %d", p)
	}
}

func TestPatternsMatchTheirTopicsAndNoOthers(t *testing.T) {
	for _, n := range []event.Names{
		{Prefix: event.DefaultPrefix, Layout: event.PerStation}, {Prefix: event.DefaultPrefix, Layout: event.Shared},
		{Prefix: "", Layout: event.PerStation}, {Prefix: "a.b-c_d.", Layout: event.Shared},
	} {
		arrivals, turnstiles := regexp.MustCompile(n.ArrivalsPattern()), regexp.MustCompile(n.TurnstilesPattern())
		var a, u int
		for _, s := range n.Specs(stations, event.EmbeddedRetention(n.Layout)) {
			if arrivals.FindString(s.Name) == s.Name { // some engines match whole names only
				a++
			}
			if turnstiles.FindString(s.Name) == s.Name {
				u++
			}
			if arrivals.MatchString("x"+s.Name) || turnstiles.MatchString("x"+s.Name) {
				t.Errorf("a topic of another prefix, x%s, would be read", s.Name)
			}
		}
		want := len(stations)
		if n.Layout == event.Shared {
			want = 1
		}
		if a != want || u != want {
			t.Errorf("%+v: %d arrivals' and %d turnstiles' topics match, want %d", n, a, u, want)
		}
	}
}

func TestConsumersOfTheAssignmentFindTheirTopics(t *testing.T) {
	n := event.Names{Prefix: event.DefaultPrefix, Layout: event.PerStation}
	asked := regexp.MustCompile(`^org.chicago.cta.station.arrivals.`)
	found := map[string]bool{}
	for _, s := range n.Specs(stations, event.ClusterRetention()) {
		found[s.Name] = true
		if asked.MatchString(s.Name) != strings.Contains(s.Name, "arrivals.4") {
			t.Errorf("%s", s.Name)
		}
	}
	for _, name := range []string{
		"org.chicago.cta.station.arrivals.40890.ohare", "org.chicago.cta.station.turnstiles.40380.clark_and_lake", "org.chicago.cta.weather.v1",
		"org.chicago.cta.stations", "org.chicago.cta.stations.table.v1", "TURNSTILE_SUMMARY",
	} {
		if !found[name] {
			t.Errorf("no topic %s", name)
		}
	}
}

func TestEveryTopicIsLegalAndBounded(t *testing.T) {
	legal := regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)
	for _, layout := range []event.Layout{event.PerStation, event.Shared} {
		long := event.EmbeddedRetention(layout)
		long.SensorBytes = 1 << 40
		for _, r := range []event.Retention{event.EmbeddedRetention(layout), long, event.ClusterRetention()} {
			seen := map[string]bool{}
			for _, s := range (event.Names{Prefix: event.DefaultPrefix, Layout: layout}).Specs(stations, r) {
				switch {
				case !legal.MatchString(s.Name) || seen[s.Name]:
					t.Errorf("topic %q is illegal or twice there", s.Name)
				case s.Partitions != 1 && s.Partitions != event.Partitions:
					t.Errorf("%s has %d partitions", s.Name, s.Partitions)
				case !s.Compact && !s.Delete:
					t.Errorf("%s grows without end: it is neither compacted nor cut", s.Name)
				case s.Delete && s.RetentionMS <= 0 && s.RetentionBytes <= 0:
					t.Errorf("%s is cut, but at no bound", s.Name)
				case s.Delete && !s.Compact && s.RetentionBytes > 0 && s.SegmentBytes > s.RetentionBytes:
					t.Errorf("%s: a segment of %d bytes is never full before the retention of %d", s.Name, s.SegmentBytes, s.RetentionBytes)
				case s.SegmentBytes > 4<<20:
					t.Errorf("%s: a segment has %d bytes", s.Name, s.SegmentBytes)
				}
				seen[s.Name] = true
			}
		}
	}
}

func TestNamesThatKafkaWouldRefuseAreRefused(t *testing.T) {
	for _, n := range []event.Names{
		{Prefix: "a/b.", Layout: event.PerStation}, {Prefix: strings.Repeat("x", 200), Layout: event.Shared}, {Prefix: "x.", Layout: "round"}, {Prefix: "x\n", Layout: event.Shared},
	} {
		if n.Validate() == nil {
			t.Errorf("%+v was taken", n)
		}
	}
	if err := (event.Names{Prefix: event.DefaultPrefix, Layout: event.Shared}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestAStationIsReadOffItsTopic(t *testing.T) {
	n := event.Names{Prefix: event.DefaultPrefix, Layout: event.PerStation}
	for topic, want := range map[string]int32{
		n.Arrivals(40890, "ohare"): 40890, n.Turnstiles(40380, "clark_and_lake"): 40380,
		n.Weather(): -1, n.Prefix + "station.arrivals.v1": -1, n.Prefix + "station.arrivals.99999999999.x": -1,
		n.Prefix + "station.arrivals.-1.x": -1, n.Prefix + "station.arrivals.1": -1, "": -1,
	} {
		got, ok := n.StationOf(topic)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %v", topic, got, ok)
		}
	}
}

func TestCitiesOfDifferentPrefixesShareNoTopic(t *testing.T) {
	found := map[string]string{}
	for _, prefix := range []string{event.DefaultPrefix, "org.boston.mbta.", ""} {
		for _, s := range (event.Names{Prefix: prefix, Layout: event.Shared}).Specs(stations, event.ClusterRetention()) {
			// No prefix and the default one have the assignment's own topic in common.
			if other, ok := found[s.Name]; ok && prefix != "" {
				t.Errorf("%s is of %q and of %q", s.Name, prefix, other)
			}
			found[s.Name] = prefix
		}
	}
}
