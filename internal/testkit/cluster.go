// Package testkit is what tests of several packages share: a Kafka cluster in
// the test's own process ([Cluster]), worker processes that can be killed and
// paused ([Start]), waiting with a deadline ([Wait]), and a verifier that
// decides whether a stage processed its input exactly once ([Check]).
//
// It knows nothing of what the records mean and nothing of the package under
// test: a verifier that shared code with what it verifies would share its bugs.
// No program imports it.
package testkit

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

// Kafka is a fake cluster on loopback TCP.
type Kafka struct {
	*kfake.Cluster
	Addrs []string

	asleep sync.WaitGroup // control functions in SleepControl
}

// SleepControl is the cluster's, whose end waits for it: a cluster closed
// while a control function sleeps may leave its main loop behind, locked.
func (k *Kafka) SleepControl(wakeup func()) {
	k.asleep.Add(1)
	defer k.asleep.Done()
	k.Cluster.SleepControl(wakeup)
}

// Cluster starts a fake cluster that ends with the test. Without further
// options it has one broker.
func Cluster(t testing.TB, opts ...kfake.Opt) *Kafka {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1),
		kfake.GroupMinSessionTimeout(time.Second), // tests do not wait 6 s for a dead member
	}, opts...)...)
	if err != nil {
		t.Fatalf("start the fake cluster: %v", err)
	}
	k := &Kafka{Cluster: c, Addrs: c.ListenAddrs()}
	t.Cleanup(func() {
		k.asleep.Wait()
		c.Close()
	})
	return k
}

// Options returns the options a client needs to reach the cluster.
func (k *Kafka) Options() []kgo.Opt { return Options(k.Addrs...) }

// Options returns client options for the given brokers, with short metadata
// and no compression.
func Options(addrs ...string) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.FetchMaxWait(250 * time.Millisecond),
		kgo.RetryTimeout(15 * time.Second),
	}
}

// ClosedClient is for tests that look for goroutines left behind. A kgo client
// that reads without a group and is closed while its first metadata comes may
// begin to fetch after Close has stopped its fetches (guardSessionChange does not
// ask whether the client is closed), and then leaves one goroutine that waits for
// an answer nobody takes. A client that was never closed still shows by its others.
func ClosedClient() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/twmb/franz-go/pkg/kgo.(*fetchManager).manageFetchConcurrency")
}

// Client makes a client that ends with the test.
func (k *Kafka) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(k.Options(), opts...)...)
	if err != nil {
		t.Fatalf("make a client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// Topics creates topics with the same number of partitions.
func (k *Kafka) Topics(t testing.TB, partitions int32, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := k.CreateTopic(n, partitions, nil); err != nil {
			t.Fatalf("create topic %s: %v", n, err)
		}
	}
}

// CreateTopic makes a topic over the wire, for clusters in other processes.
func CreateTopic(ctx context.Context, cl *kgo.Client, name string, partitions int32) error {
	_, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, name)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	return nil
}

// Produce writes records without a transaction and fails the test on an error.
func (k *Kafka) Produce(t testing.TB, cl *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// Wait asks cond now and then until it is true. It fails the test, saying what
// was waited for, after limit.
func Wait(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !Within(limit, cond) {
		t.Fatalf("waited %s in vain until %s", limit, what)
	}
}

// Within says whether cond becomes true within limit.
func Within(limit time.Duration, cond func() bool) bool {
	end := time.Now().Add(limit)
	for {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// place is a partition, for messages.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s-%d", p.topic, p.partition) }
