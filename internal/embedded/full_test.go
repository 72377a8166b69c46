package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/embedded"
	"ell/internal/event"
	"ell/internal/kafka"
)

func TestAFailedWriteStopsTheBrokerLoudlyAndTheNextStartGoesOn(t *testing.T) {
	s := open(t, options(t.TempDir()))
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Delete: true})
	cl := client(t, s.KafkaAddr())
	if err := cl.ProduceSync(within(t, 5*time.Second), &kgo.Record{Topic: "t", Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s.FailWrite("persist batch %s-%d: %v", "t", 0, "no space left on device")
	if err := s.Watch(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), "free space") {
		t.Errorf("Watch says %v", err)
	}
	// An idempotent client would wait for an answer for ever.
	plain := client(t, s.KafkaAddr(), kgo.DisableIdempotentWrite(), kgo.RecordDeliveryTimeout(time.Second))
	if err := plain.ProduceSync(within(t, 200*time.Millisecond), &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr(); err == nil {
		t.Error("a broken broker took a record")
	}
	dir := s.Dir()
	closeStack(t, s)
	if got := records(t, open(t, options(dir)).KafkaAddr(), "t"); len(got) != 1 || got[0] != "=kept" {
		t.Errorf("after a new start: %v", got)
	}
}

func TestANearlyFullDiskHoldsRecordsBackUntilThereIsSpace(t *testing.T) {
	s := open(t, options(t.TempDir()))
	create(t, s.KafkaAddr(), event.TopicSpec{Name: "t", Partitions: 1, Delete: true})
	s.WatchSpace(1 << 62) // no disk has that much
	done := make(chan error, 1)
	cl := client(t, s.KafkaAddr())
	cl.Produce(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("x")}, func(_ *kgo.Record, err error) { done <- err })
	select {
	case err := <-done:
		t.Fatalf("the record was not held back: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	s.WatchSpace(1)
	if err := <-done; err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestADiskThatFillsUpLosesNothingThatWasCommitted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system in a name space of its own")
	}
	dir := t.TempDir()
	cmd := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs -o size=8m none "$0" && exec "$1"`, dir, os.Args[0])
	cmd.Env = append(os.Environ(), "ELL_TEST_FULL="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	t.Logf("%s", out.String())
	if err != nil && strings.Contains(out.String(), "mount") && !strings.Contains(out.String(), "ell:") {
		t.Skip("this machine allows no mount")
	}
	if err != nil {
		t.Error(err)
	}
}

// fillUp runs in a child on a file system of 8 MiB. It commits numbers until
// the broker fails for want of space, frees some, starts again and compares.
func fillUp(dir string) error {
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	o := options(filepath.Join(dir, "data"))
	committed, failure, err := commitUntilFull(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("ell: committed %d, then: %v\n", committed, failure)
	if err := os.Remove(ballast); err != nil {
		return err
	}
	s, err := embedded.Open(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Printf("ell: recovered %+v\n", s.Recovered())
	cfg := kafka.Config{Brokers: []string{s.KafkaAddr()}}
	first := -1
	for p := range 3 {
		n, err := count(ctx, cfg, "t"+strconv.Itoa(p), "n")
		if err != nil {
			return err
		}
		if first == -1 {
			first = n
		}
		// The commit under way when the disk filled up may be there or not.
		if n != first || n < committed || n > committed+1 {
			return fmt.Errorf("topic t%d is at %d, t0 at %d, committed were %d", p, n, first, committed)
		}
	}
	return nil
}

func commitUntilFull(ctx context.Context, o embedded.Options) (committed int, failure, err error) {
	s, err := embedded.Open(ctx, o)
	if err != nil {
		return 0, nil, err
	}
	defer s.Close()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		failed <- s.Watch(watching)
		stop()
	}()
	cfg := kafka.Config{Brokers: []string{s.KafkaAddr()}}
	cl, err := cfg.New(kgo.TransactionalID("x"))
	if err != nil {
		return 0, nil, err
	}
	defer cl.Close()
	var specs []event.TopicSpec
	for p := range 3 {
		specs = append(specs, event.TopicSpec{Name: "t" + strconv.Itoa(p), Partitions: 1, Compact: true})
	}
	if _, err := kafka.EnsureTopics(ctx, cl, specs, 1); err != nil {
		return 0, nil, err
	}
	filler := kgo.RecordHeader{Key: "x", Value: make([]byte, 20000)}
	for i := 1; ; i++ {
		if err := cl.BeginTransaction(); err != nil {
			return committed, <-failed, nil
		}
		for p := range 3 {
			cl.Produce(watching, &kgo.Record{Topic: "t" + strconv.Itoa(p), Key: []byte("n"), Value: []byte(strconv.Itoa(i)), Headers: []kgo.RecordHeader{filler}}, nil)
		}
		if err := errors.Join(cl.Flush(watching), cl.EndTransaction(watching, kgo.TryCommit)); err != nil {
			return committed, <-failed, nil
		}
		committed = i
	}
}
