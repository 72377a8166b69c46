package exactly_test

import (
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/testkit"
)

// outputEnd is how many offsets the output has, committed or not.
func outputEnd(k *testkit.Kafka) (n int64) {
	for _, p := range k.PartitionInfos(topicOut) {
		n += p.HighWatermark
	}
	return n
}

// committed is the sum of the group's committed offsets.
func committed(k *testkit.Kafka) (n int64) {
	g := k.GroupInfo(groupName)
	if g == nil {
		return 0
	}
	for _, ps := range g.Commits {
		for _, c := range ps {
			n += c.Offset
		}
	}
	return n
}

// failCommit makes the next transactional offset commit fail with an answer
// that a rebalance would give.
func failCommit(k *testkit.Kafka) {
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress})
}

// slowCommits makes the broker answer plain offset commits late.
func slowCommits(k *testkit.Kafka, by time.Duration) {
	k.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		k.SleepControl(func() { time.Sleep(by) })
		return nil, nil, false
	})
}

// longForm says whether the long forms of tests are asked for.
func longForm() bool { return os.Getenv("ELL_LONG") != "" }
