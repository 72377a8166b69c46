package kafka

import (
	"fmt"
	"slices"
	"strings"
)

// Difference is one setting of an existing topic that is not what the
// specification asks for. Nothing was changed.
type Difference struct {
	Topic   string
	Setting string // "partitions", "cleanup.policy", "retention.ms", ...
	Want    string
	Have    string
}

// Group is the same difference of several topics.
type Group struct {
	Difference          // of the first topic
	Topics     []string // all of them
}

// Groups puts equal differences together, so that three hundred topics with
// another retention are one sentence.
func (r TopicsReport) Groups() []Group {
	var out []Group
	for _, d := range r.Differences {
		i := slices.IndexFunc(out, func(g Group) bool {
			return g.Setting == d.Setting && g.Want == d.Want && g.Have == d.Have
		})
		if i < 0 {
			out = append(out, Group{Difference: d})
			i = len(out) - 1
		}
		out[i].Topics = append(out[i].Topics, d.Topic)
	}
	return out
}

// String says the difference as one clause.
func (g Group) String() string {
	if n := len(g.Topics); n > 1 {
		return fmt.Sprintf("%d topics, %s the first, have %s %s, want %s", n, g.Topic, g.Setting, g.Have, g.Want)
	}
	return fmt.Sprintf("topic %s has %s %s, want %s", g.Topic, g.Setting, g.Have, g.Want)
}

// Breaks says whether results would be wrong: another number of partitions
// moves keys away from their state, and a topic that is not compacted forgets
// state. Other settings an operator may have chosen on purpose.
func (g Group) Breaks() bool {
	return g.Setting == settingPartitions ||
		g.Setting == settingPolicy && strings.Contains(g.Want, "compact") && !strings.Contains(g.Have, "compact")
}

// Mend says what makes the difference go away.
func (g Group) Mend() string {
	if g.Setting == settingPartitions {
		return "choose another --prefix, or stop everything that uses the topic, delete it and let ell create it anew"
	}
	return fmt.Sprintf("kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name %s --add-config '%s=[%s]'", g.Topic, g.Setting, g.Want)
}
