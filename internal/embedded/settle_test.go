package embedded_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/embedded"
	"ell/internal/event"
	"ell/internal/kafka"
)

// commitMany commits n transactions on one key, each tenth of them aborted.
func commitMany(t *testing.T, cl *kgo.Client, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		cl.Produce(t.Context(), &kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte(strconv.Itoa(i))}, nil)
		if err := cl.Flush(within(t, 5*time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(within(t, 5*time.Second), kgo.TransactionEndTry(i%10 != 9)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCompactionDropsTheMarkersOfAProducerThatGoesOn(t *testing.T) {
	o := options(t.TempDir())
	embedded.Hurry(&o, time.Hour, 1)
	s := open(t, o)
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Compact: true})
	cl := client(t, s.KafkaAddr(), kgo.TransactionalID("x"))
	// A key that is written once keeps its producer id on the topic for ever.
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	cl.Produce(t.Context(), &kgo.Record{Topic: "t", Key: []byte("once"), Value: []byte("v")}, nil)
	if err := cl.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(within(t, 5*time.Second), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		commitMany(t, cl, 100*round, 100)
		// Compaction leaves no marker of what was aborted before it; a reader
		// that is told of it all the same would wait for the marker and hide
		// what was committed since.
		if got := records(t, s.KafkaAddr(), "t"); !slices.Contains(got, fmt.Sprintf("k=%d", 100*round+98)) {
			t.Errorf("round %d: before compaction %v", round, got)
		}
		compactNow(t, s)
		if n := s.PartitionBytes("t", 0); n > 500 {
			t.Errorf("round %d: %d bytes are left of two keys", round, n)
		}
		got := records(t, s.KafkaAddr(), "t")
		slices.Sort(got)
		if want := fmt.Sprintf("k=%d", 100*round+98); !slices.Contains(got, want) || !slices.Contains(got, "once=v") || len(got) != 2 {
			t.Errorf("round %d: got %v, want once=v and %s", round, got, want)
		}
	}
	// A kill now, and everything is still there: also when what is left is
	// compacted once more, with nothing newer to make up for it.
	for life := range 3 {
		o := options(image(t, s))
		embedded.Hurry(&o, time.Hour, 1)
		s = open(t, o)
		intact := func(when string) {
			t.Helper()
			table, err := kafka.ReadTable(t.Context(), kafka.Config{Brokers: []string{s.KafkaAddr()}}, "t", 0)
			if err != nil || string(table["k"].Value) != "298" || string(table["once"].Value) != "v" {
				t.Fatalf("%s %d: %v, %v", when, life+1, table, err)
			}
		}
		intact("after kill")
		compactNow(t, s)
		intact("after the compaction after kill")
	}
}

// compactNow compacts what has grown.
func compactNow(t *testing.T, s *embedded.Stack) {
	t.Helper()
	before := s.Compactions()
	s.Upkeep()
	if s.Compactions() == before {
		t.Fatal("nothing was compacted")
	}
}

func TestCompactionLeavesOutWhereATransactionIsOpenAndLosesNothingWhenItAborts(t *testing.T) {
	o := options(t.TempDir())
	embedded.Hurry(&o, time.Hour, 1)
	s := open(t, o)
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Compact: true}, event.TopicSpec{Name: "other", Partitions: 1, Compact: true})
	cl := client(t, s.KafkaAddr(), kgo.TransactionalID("x"))
	commitMany(t, cl, 1, 1)
	plain := client(t, s.KafkaAddr())
	for range 3 {
		if err := plain.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "other", Key: []byte("k"), Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the last batch of a log is never compacted
		if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Key: []byte("k"), Value: []byte("open")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s.Upkeep()
	if n := s.Compactions(); n != 1 {
		t.Errorf("%d partitions compacted, want the one without an open transaction", n)
	}
	if err := cl.EndTransaction(within(t, 5*time.Second), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	s.Upkeep()
	if n := s.Compactions(); n != 2 {
		t.Errorf("%d partitions compacted after the end of the transaction, want both", n)
	}
	if got := records(t, s.KafkaAddr(), "t"); !slices.Equal(got, []string{"k=1"}) {
		t.Errorf("got %v", got)
	}
	if got := records(t, s.KafkaAddr(), "other"); !slices.Equal(got, []string{"k=v", "k=v"}) { // the last batch stays as it is
		t.Errorf("got %v", got)
	}
}

func TestCompactionRewritesNoMoreThanWasWritten(t *testing.T) {
	o := options(t.TempDir())
	embedded.Hurry(&o, time.Hour, 1<<10)
	s := open(t, o)
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Compact: true})
	cl := client(t, s.KafkaAddr())
	var written, rewritten int64
	for i := range 200 { // every key is new: compaction never makes the partition smaller
		before, compactions := s.PartitionBytes("t", 0), s.Compactions()
		if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Key: []byte(strconv.Itoa(i)), Value: make([]byte, 200)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		written += s.PartitionBytes("t", 0) - before
		s.Upkeep()
		if s.Compactions() > compactions {
			rewritten += s.PartitionBytes("t", 0)
		}
	}
	if rewritten == 0 || rewritten > 2*written {
		t.Errorf("%d bytes rewritten for %d written", rewritten, written)
	}
}
