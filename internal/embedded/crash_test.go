package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/embedded"
	"ell/internal/event"
)

// image copies a data folder as a kill at this moment would leave it.
func image(t *testing.T, s *embedded.Stack) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(dir, os.DirFS(s.Dir())); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openTransaction leaves a transaction open on n partitions of topic t, whose
// committed records are before.
func openTransaction(t *testing.T, addr string, n int32) (producer int64, epoch int16) {
	t.Helper()
	create(t, addr, event.TopicSpec{Name: "t", Partitions: n, Delete: true})
	cl := client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("x"))
	for _, value := range []string{"before", "open"} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for p := range n {
			cl.Produce(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte(value)}, nil)
		}
		if err := cl.Flush(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
		if value == "before" {
			if err := cl.EndTransaction(within(t, 5*time.Second), kgo.TryCommit); err != nil {
				t.Fatal(err)
			}
		}
	}
	producer, epoch, err := cl.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return producer, epoch
}

// appendTo adds raw to the only segment of a partition in a folder nobody has open.
func appendTo(t *testing.T, dir, topic string, partition int32, raw []byte) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(embedded.PartitionDir(dir, topic, partition), "0.dat"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestACommitCutOffHalfWayIsCompleted(t *testing.T) {
	s := open(t, options(t.TempDir()))
	producer, epoch := openTransaction(t, s.KafkaAddr(), 4)
	dir := image(t, s)
	// Two of four partitions have their marker; the journal knows the decision.
	for p := range int32(2) {
		appendTo(t, dir, "t", p, embedded.Marker(3, producer, epoch, true))
	}
	err := embedded.WritePending(dir, embedded.PendingEnd{
		Producer: producer, Epoch: epoch, Commit: true, Bumps: true,
		Offsets: []embedded.GroupOffset{{Group: "g", Topic: "t", Part: 3, Offset: 42, Epoch: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}

	// The control: the library by itself tears the transaction.
	bare, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(filepath.Join(copyOf(t, dir), "kafka")))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if got := records(t, bare.ListenAddrs()[0], "t"); len(got) != 6 {
		t.Errorf("control: the bare library shows %v; if it has become whole, recovery may go", got)
	}

	s = open(t, options(dir))
	got := records(t, s.KafkaAddr(), "t")
	slices.Sort(got)
	if want := strings.Fields("=before =before =before =before =open =open =open =open"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if r := s.Recovered(); r.Committed != 2 || r.Aborted != 0 {
		t.Errorf("recovered %+v", r)
	}
	offsets, err := kadm.NewClient(client(t, s.KafkaAddr())).FetchOffsets(t.Context(), "g")
	if o, ok := offsets.Lookup("t", 3); err != nil || !ok || o.At != 42 {
		t.Errorf("offset of the committed transaction: %+v, %v", o, err)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestAnOpenTransactionIsAbortedWithAMarkerAndTheIDGoesOn(t *testing.T) {
	s := open(t, options(t.TempDir()))
	openTransaction(t, s.KafkaAddr(), 2)
	s = open(t, options(image(t, s)))
	if r := s.Recovered(); r.Aborted != 1 || r.Committed != 0 {
		t.Errorf("recovered %+v", r)
	}
	// The same transactional id, so the same producer id, commits again: all
	// of it must be visible.
	cl := client(t, s.KafkaAddr(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("x"))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		cl.Produce(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("after")}, nil)
	}
	if err := cl.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(within(t, 5*time.Second), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	got := records(t, s.KafkaAddr(), "t")
	slices.Sort(got)
	if want := strings.Fields("=after =after =before =before"); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestABatchWithoutItsIndexEntryIsNotTakenForACommittedOne(t *testing.T) {
	s := open(t, options(t.TempDir()))
	openTransaction(t, s.KafkaAddr(), 1)
	dir := image(t, s)
	index := filepath.Join(embedded.PartitionDir(dir, "t", 0), "0.idx")
	info, err := os.Stat(index)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(index, info.Size()-15); err != nil { // cut between the two writes
		t.Fatal(err)
	}
	s = open(t, options(dir))
	if got := records(t, s.KafkaAddr(), "t"); !slices.Equal(got, []string{"=before"}) {
		t.Errorf("got %v", got)
	}
	if r := s.Recovered(); r.Indexes != 1 {
		t.Errorf("recovered %+v", r)
	}
}

// produced makes a folder with one topic of n single-record batches and
// returns it closed, cleanly or as a kill would leave it.
func produced(t *testing.T, n int, clean bool) (dir, segment string) {
	t.Helper()
	s := open(t, options(t.TempDir()))
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Delete: true})
	cl := client(t, s.KafkaAddr())
	for i := range n {
		if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir = s.Dir()
	if clean {
		closeStack(t, s)
	} else {
		dir = image(t, s)
	}
	return dir, filepath.Join(embedded.PartitionDir(dir, "t", 0), "0.dat")
}

func TestATornTailIsCutOffAfterAKill(t *testing.T) {
	dir, segment := produced(t, 3, false)
	info, err := os.Stat(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(segment, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(dir))
	if got := records(t, s.KafkaAddr(), "t"); !slices.Equal(got, []string{"=0", "=1"}) {
		t.Errorf("got %v", got)
	}
	if r := s.Recovered(); r.Torn != 1 {
		t.Errorf("recovered %+v", r)
	}
}

func TestDamageIsRefusedWithTheFileAndThePlace(t *testing.T) {
	flip := func(at int64) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[at] ^= 0xff
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	shorten := func(t *testing.T, path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-1); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		clean  bool
		file   string // in the kafka folder; "": the segment
		damage func(*testing.T, string)
	}{
		"a flipped bit in the first batch, after a kill":     {false, "", flip(70)},
		"a flipped bit in the first batch, after a good end": {true, "", flip(70)},
		"a flipped bit in an offset":                         {false, "", flip(76)},
		"a wrong length in the first batch":                  {false, "", flip(11)},
		"a segment cut short although it was closed well":    {true, "", shorten},
		"a flipped bit in the producer log":                  {true, "pids.log", flip(12)},
		"the topics gone":                                    {false, "topics.json", remove},
		"the description gone":                               {false, "meta.json", remove},
		"the description of a later format":                  {false, "meta.json", flip(11)},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := produced(t, 3, c.clean)
			if c.file != "" {
				path = filepath.Join(dir, "kafka", c.file)
			}
			c.damage(t, path)
			s, err := embedded.Open(t.Context(), options(dir))
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			var damage *embedded.DamageError
			if !errors.As(err, &damage) || damage.Path != path || !strings.Contains(err.Error(), "--data") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestACompactionCutOffHalfWayIsUndone(t *testing.T) {
	dir, segment := produced(t, 3, false)
	name := filepath.Base(filepath.Dir(segment))
	if err := embedded.SparePartitions(filepath.Join(dir, "kafka"), []string{name}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}
	s := open(t, options(dir))
	if got := records(t, s.KafkaAddr(), "t"); !slices.Equal(got, []string{"=0", "=1", "=2"}) {
		t.Errorf("got %v", got)
	}
	if !s.Recovered().Compaction {
		t.Errorf("recovered %+v", s.Recovered())
	}
}

func TestOffsetsGoOnInAPartitionThatRetentionEmptied(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed well %v", clean), func(t *testing.T) {
			s := open(t, options(t.TempDir()))
			create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Delete: true, RetentionMS: 1})
			put := func(s *embedded.Stack) int64 {
				r, err := client(t, s.KafkaAddr()).ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: []byte("x")}).First()
				if err != nil {
					t.Fatal(err)
				}
				return r.Offset
			}
			for range 3 {
				put(s)
			}
			time.Sleep(5 * time.Millisecond)
			s.Upkeep()
			dir := s.Dir()
			if clean {
				closeStack(t, s)
			} else {
				dir = image(t, s)
			}
			s = open(t, options(dir))
			if got := records(t, s.KafkaAddr(), "t"); len(got) != 0 {
				t.Errorf("got %v", got)
			}
			if at := put(s); at != 3 {
				t.Errorf("the next record is at offset %d, want 3", at)
			}
		})
	}
}

func TestRetentionStopsAsSoonAsAReaderFallsBehind(t *testing.T) {
	o := options(t.TempDir())
	asked := 0
	o.HoldRetention = func() bool { asked++; return asked > 2 }
	s := open(t, o)
	topics := []string{"a", "b", "c", "d"}
	for _, topic := range topics {
		create(t, s.KafkaAddr(), event.TopicSpec{Name: topic, Partitions: 1, Delete: true, RetentionBytes: 1})
		if err := client(t, s.KafkaAddr()).ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RetainAfter(func() {}); err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, topic := range topics {
		left += len(records(t, s.KafkaAddr(), topic))
	}
	if left != 2 {
		t.Errorf("%d of 4 topics keep their record, want the 2 that retention had not come to", left)
	}
}

func TestTheEndOfABatchLargerThanAllThatIsKeptIsNotedBeforeItGoes(t *testing.T) {
	s := open(t, options(t.TempDir()))
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Delete: true, RetentionBytes: 1000})
	cl := client(t, s.KafkaAddr())
	put := func(size int) {
		if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: make([]byte, size)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put(10)
	if err := s.RetainAfter(func() { put(10); put(2000) }); err != nil {
		t.Fatal(err)
	}
	s = open(t, options(image(t, s)))
	if got := records(t, s.KafkaAddr(), "t"); len(got) != 0 {
		t.Errorf("%d records are left: nothing was emptied", len(got))
	}
	r, err := client(t, s.KafkaAddr()).ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t"}).First()
	if err != nil || r.Offset != 3 {
		t.Errorf("the next record is at offset %d, want 3 (%v)", r.Offset, err)
	}
}

func TestARepeatedBatchIsKnownAfterAKill(t *testing.T) {
	// An idempotent producer in another process outlives the broker and goes on.
	s := open(t, options(t.TempDir()))
	addr := s.KafkaAddr()
	create(t, addr, event.TopicSpec{Name: "t", Partitions: 1, Delete: true})
	cl := client(t, addr, kgo.RetryTimeout(10*time.Second))
	for i := range 7 {
		if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir := image(t, s)
	closeStack(t, s)
	o := options(dir)
	o.KafkaAddr = addr
	open(t, o)
	if err := cl.ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("7")}).FirstErr(); err != nil {
		t.Fatalf("the producer could not go on: %v", err)
	}
	if got := records(t, addr, "t"); len(got) != 8 {
		t.Errorf("got %v", got)
	}
}

func TestAGroupDoesNotWaitForMembersOfAnEarlierBoot(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for _, instance := range []string{"", "worker-1"} {
			t.Run(fmt.Sprintf("closed well %v, instance %q", clean, instance), func(t *testing.T) {
				s := open(t, options(t.TempDir()))
				create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 4, Delete: true})
				join := func(addr string) time.Duration {
					opts := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
					if instance != "" {
						opts = append(opts, kgo.InstanceID(instance))
					}
					began := time.Now()
					cl := client(t, addr, opts...)
					if err := client(t, addr).ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
						t.Fatal(err)
					}
					if f := cl.PollFetches(within(t, 10*time.Second)); f.Err() != nil || f.NumRecords() == 0 {
						t.Fatalf("no records: %v", f.Err())
					}
					return time.Since(began)
				}
				t.Logf("first boot: %v", join(s.KafkaAddr()))
				dir := s.Dir()
				if clean {
					closeStack(t, s)
				} else {
					dir = image(t, s)
				}
				took := join(open(t, options(dir)).KafkaAddr())
				t.Logf("second boot: %v", took)
				if took > 2*time.Second {
					t.Errorf("joining took %v: it waited for the dead", took)
				}
			})
		}
	}
}
