package exactly_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/exactly"
	"ell/internal/faultnet"
	"ell/internal/testkit"
)

// throughNet makes a configuration whose clients reach the cluster only
// through proxies.
func throughNet(t *testing.T, k *testkit.Kafka) (exactly.Config, *faultnet.Net) {
	t.Helper()
	n := &faultnet.Net{}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close the proxies: %v", err)
		}
	})
	cfg := config(k.Addrs, "a")
	cfg.Client = append(cfg.Client, kgo.Dialer(n.DialContext),
		kgo.RequestTimeoutOverhead(time.Second), kgo.ConnIdleTimeout(10*time.Second), kgo.DialTimeout(time.Second))
	return cfg, n
}

func TestFault10_RepliesLost(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cfg, n := throughNet(t, k)
	// Requests arrive and are acted upon, their answers do not come back.
	disturbed(t, k, 3000, cfg, func(int) {
		n.Each(func(p *faultnet.Proxy) { p.Set(faultnet.Down, faultnet.Fault{CutAfter: 1}) })
		time.Sleep(20 * time.Millisecond)
		n.Each((*faultnet.Proxy).Heal)
	})
}

func TestFault12_AllConnectionsDroppedForAWhile(t *testing.T) {
	t.Parallel()
	away := 2500 * time.Millisecond
	if longForm() {
		away = 30 * time.Second
	}
	k := cluster(t, 4)
	cl := k.Client(t)
	cfg, n := throughNet(t, k)
	cfg.MaxRestarts = -1
	w := run(t, cfg)
	k.Produce(t, cl, inputs(0, 1000, 50)...)
	testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 1000 })
	for round := range 2 {
		before := n.Dials()
		n.Each(func(p *faultnet.Proxy) { p.Refuse(true); p.Cut() })
		k.Produce(t, cl, inputs(1000+round*1000, 1000, 50)...)
		time.Sleep(away)
		dials := n.Dials() - before
		rate := float64(dials) / away.Seconds()
		t.Logf("%d dials in %s: %.1f/s", dials, away, rate)
		if rate > 40 {
			t.Errorf("%.1f dials/s while the network is away: a busy loop", rate)
		}
		n.Each((*faultnet.Proxy).Heal)
		testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= int64(round+2)*1000 })
	}
	w.stop(t)
	check(k).Must(t)
}

func TestFault13_HalfOpenConnections(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]faultnet.Fault{
		"the peer is silent and swallows": {Swallow: true},
		"bytes hang on the way":           {Stall: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 4)
			cl := k.Client(t)
			cfg, n := throughNet(t, k)
			cfg.MaxRestarts = -1
			w := run(t, cfg)
			k.Produce(t, cl, inputs(0, 1000, 50)...)
			testkit.Wait(t, 20*time.Second, "the input is processed", func() bool { return committed(k) >= 1000 })
			n.Each(func(p *faultnet.Proxy) { p.Both(f) })
			k.Produce(t, cl, inputs(1000, 1000, 50)...)
			time.Sleep(3500 * time.Millisecond) // longer than the session and the transaction
			n.Each((*faultnet.Proxy).Heal)
			testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= 2000 })
			w.stop(t)
			check(k).Must(t)
		})
	}
}

func TestFault13_StopsWithinItsTimeWhileThePeerIsSilent(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cfg, n := throughNet(t, k)
	w := run(t, cfg)
	w.caughtUp(t, 20*time.Second)
	n.Each(func(p *faultnet.Proxy) { p.Both(faultnet.Fault{Swallow: true}) })
	begin := time.Now()
	w.stop(t)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("stopping took %s", d)
	}
}

// A rebalance waits for members that are gone until their session ends. A stop in
// the middle of it must not wait as well.
func TestFault13_StopsWithinItsTimeWhileAJoinIsNotAnswered(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	release, joining := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	var once sync.Once
	k.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		once.Do(func() { close(joining) })
		k.SleepControl(func() { <-release })
		return nil, nil, false
	})
	cfg := config(k.Addrs, "a")
	cfg.SessionTimeout = 30 * time.Second
	w := run(t, cfg)
	<-joining
	begin := time.Now()
	w.stop(t)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("stopping took %s", d)
	}
}

func TestFault14_SlowLink(t *testing.T) {
	t.Parallel()
	k := cluster(t, 4)
	cl := k.Client(t)
	cfg, n := throughNet(t, k)
	n.Each(func(p *faultnet.Proxy) { p.Both(faultnet.Fault{Rate: 20_000}) })
	k.Produce(t, cl, inputs(0, 300, 50)...)
	w := run(t, cfg)
	testkit.Wait(t, 40*time.Second, "the input is processed over a slow link", func() bool { return committed(k) >= 300 })
	n.Each((*faultnet.Proxy).Heal)
	w.stop(t)
	check(k).Must(t)
}

func TestFault15_CorruptedBytesOnTheWire(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]faultnet.Direction{"in what is fetched": faultnet.Down, "in what is produced": faultnet.Up} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := cluster(t, 4)
			cl := k.Client(t)
			cfg, n := throughNet(t, k)
			mark := bytes.Repeat([]byte("payload"), 20)
			var corrupted atomic.Int64
			n.Each(func(p *faultnet.Proxy) { p.Set(dir, faultnet.Fault{CorruptEvery: 331, Mark: mark}) })
			w := run(t, cfg)
			for i := range 10 {
				rs := inputs(i*100, 100, 50)
				for _, r := range rs {
					id, amount, _ := bytes.Cut(r.Value, []byte(":"))
					r.Value = fmt.Appendf(nil, "%s-%s:%s", id, mark, amount)
				}
				k.Produce(t, cl, rs...)
				testkit.Wait(t, 30*time.Second, "the input is processed", func() bool { return committed(k) >= int64(i+1)*100 })
			}
			n.Each(func(p *faultnet.Proxy) { corrupted.Add(p.Corrupted()); p.Heal() })
			if corrupted.Load() == 0 {
				t.Fatal("nothing was corrupted: the test tests nothing")
			}
			t.Logf("%d bits flipped; %d restarts, %d aborted", corrupted.Load(), w.Stats().Restarts, w.Stats().Aborted)
			w.stop(t)
			check(k).Must(t)
		})
	}
}
