package testkit_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/testkit"
)

// The stage that these tests verify copies its input. What it "wrote" is
// written by hand.
func copied(k *testkit.Kafka) testkit.Check {
	return testkit.Check{
		Client: k.Options(), Group: "copy", Inputs: []string{"in"}, Streams: []string{"out"}, Tables: []string{"table"},
		Model: func(in []*kgo.Record) testkit.Want {
			w := testkit.Want{Streams: map[testkit.Key][]string{}, Tables: map[testkit.Key]string{}}
			for _, r := range in {
				o := testkit.Key{Topic: "out", Key: string(r.Key)}
				w.Streams[o] = append(w.Streams[o], string(r.Value))
				w.Tables[testkit.Key{Topic: "table", Key: string(r.Key)}] = string(r.Value)
			}
			return w
		},
		HangLimit: 500 * time.Millisecond,
	}
}

func write(t *testing.T, k *testkit.Kafka, cl *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		k.Produce(t, cl, &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v)})
	}
}

func TestVerifierNamesEachKindOfFault(t *testing.T) {
	for name, tc := range map[string]struct {
		out, table []string
		committed  int64
		want       testkit.Report
	}{
		"all as it should be":        {[]string{"a", "b", "c"}, []string{"a", "c"}, 3, testkit.Report{Inputs: 3, Outputs: 3}},
		"one output is missing":      {[]string{"a", "c"}, []string{"c"}, 3, testkit.Report{Inputs: 3, Outputs: 2, Missing: 1}},
		"one output is there twice":  {[]string{"a", "b", "b", "c"}, []string{"c"}, 3, testkit.Report{Inputs: 3, Outputs: 4, Duplicates: 1}},
		"one output is invented":     {[]string{"a", "b", "x", "c"}, []string{"c"}, 3, testkit.Report{Inputs: 3, Outputs: 4, Wrong: 1}},
		"outputs are out of order":   {[]string{"b", "a", "c"}, []string{"c"}, 3, testkit.Report{Inputs: 3, Outputs: 3, Disordered: 1}},
		"the state is old":           {[]string{"a", "b", "c"}, []string{"a", "b"}, 3, testkit.Report{Inputs: 3, Outputs: 3, Wrong: 1}},
		"the state is not there":     {[]string{"a", "b", "c"}, nil, 3, testkit.Report{Inputs: 3, Outputs: 3, Wrong: 1}},
		"input is not processed":     {[]string{"a", "b"}, []string{"b"}, 2, testkit.Report{Inputs: 2, Outputs: 2, Unprocessed: 1}},
		"output is ahead of offsets": {[]string{"a", "b", "c"}, []string{"b"}, 2, testkit.Report{Inputs: 2, Outputs: 3, Unprocessed: 1, Wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			k := testkit.Cluster(t)
			k.Topics(t, 1, "in", "out", "table")
			cl := k.Client(t)
			write(t, k, cl, "in", "a", "b", "c")
			write(t, k, cl, "out", tc.out...)
			write(t, k, cl, "table", tc.table...)
			commit(t, cl, tc.committed)
			rep, err := copied(k).Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if clean := tc.want.OK(); rep.OK() != clean || (len(rep.Examples) == 0) != clean {
				t.Errorf("OK is %v with %d examples", rep.OK(), len(rep.Examples))
			}
			rep.Examples = nil
			if d := cmp.Diff(tc.want, *rep); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestVerifierSeesAHangingTransaction(t *testing.T) {
	k := testkit.Cluster(t)
	k.Topics(t, 2, "in", "out", "table")
	hung := k.Client(t, kgo.TransactionalID("hung"), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := hung.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	k.Produce(t, hung, &kgo.Record{Topic: "out", Partition: 1, Value: []byte("never")})
	rep, err := copied(k).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"out-1"}, rep.Hanging); d != "" || rep.OK() {
		t.Fatal(d, rep)
	}
	if err := hung.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	rep, err = copied(k).Run(t.Context())
	if err != nil || !rep.OK() {
		t.Fatalf("after the abort: %v, %v: aborted records and probes must not count", rep, err)
	}
}

func TestVerifierWaitsForAnEmptyGroup(t *testing.T) {
	k := testkit.Cluster(t)
	k.Topics(t, 1, "in", "out", "table")
	member := k.Client(t, kgo.ConsumerGroup("copy"), kgo.ConsumeTopics("in"))
	testkit.Wait(t, 10*time.Second, "the member has joined", func() bool {
		g := k.GroupInfo("copy")
		return g != nil && g.State == "Stable"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if rep, err := copied(k).Run(ctx); err == nil {
		t.Fatalf("verified beside a living member: %v", rep)
	}
	member.Close()
	if rep, err := copied(k).Run(t.Context()); err != nil || !rep.OK() {
		t.Fatal(rep, err)
	}
}

func commit(t *testing.T, cl *kgo.Client, at int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "in", Partition: 0, At: at, LeaderEpoch: -1})
	if err := kadm.NewClient(cl).CommitAllOffsets(t.Context(), "copy", offsets); err != nil {
		t.Fatal(err)
	}
}
