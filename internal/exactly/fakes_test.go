package exactly_test

import (
	"os"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/testkit"
)

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

// members are the instances that have a place in the group.
func members(k *testkit.Kafka) (ids []string) {
	g := k.GroupInfo(groupName)
	if g == nil {
		return nil
	}
	for _, m := range g.Members {
		if m.InstanceID != nil {
			ids = append(ids, *m.InstanceID)
		}
	}
	slices.Sort(ids)
	return ids
}

// settled says whether every member of the group has its share.
func settled(k *testkit.Kafka) bool {
	g := k.GroupInfo(groupName)
	return g != nil && g.State == "Stable" && !slices.ContainsFunc(g.Members, func(m kfake.GroupMember) bool { return m.NumAssigned() == 0 })
}

// failCommit makes the next transactional offset commit fail with an answer
// that a rebalance would give.
func failCommit(k *testkit.Kafka) {
	k.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.RebalanceInProgress})
}

// loseCommits has the broker neither keep nor answer plain offset commits, so
// that who commits waits for ever. It returns how many it has lost so far, and
// what ends it.
func loseCommits(k *testkit.Kafka) (lost *atomic.Int64, end func()) {
	lost = new(atomic.Int64)
	var over atomic.Bool
	k.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		k.KeepControl()
		lost.Add(1)
		return nil, nil, true
	})
	return lost, func() { over.Store(true) }
}

// longForm says whether the long forms of tests are asked for.
func longForm() bool { return os.Getenv("ELL_LONG") != "" }
