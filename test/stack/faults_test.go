package stack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/event"
	"ell/internal/faultnet"
)

// fault is one way to break the running pipeline. It returns what it hit and
// when the fault was over.
type fault struct {
	name string
	do   func(p *pipeline, rng *rand.Rand) (victim string)
}

// between waits for a while at random, so that faults meet work at any moment.
func between(rng *rand.Rand, least, most time.Duration) {
	time.Sleep(least + time.Duration(rng.Int64N(int64(most-least)+1)))
}

// killBroker kills a broker, leaves it dead for a while, and starts it again.
func killBroker(which func(p *pipeline) string) func(*pipeline, *rand.Rand) string {
	return func(p *pipeline, rng *rand.Rand) string {
		victim := which(p)
		p.signal(victim, syscall.SIGKILL)
		between(rng, 2*time.Second, 6*time.Second)
		p.up("kafka")
		return victim
	}
}

// pauseBroker stops a broker in its tracks for longer than the others wait for it.
func pauseBroker(which func(p *pipeline) string) func(*pipeline, *rand.Rand) string {
	return func(p *pipeline, rng *rand.Rand) string {
		victim := which(p)
		p.signal(victim, syscall.SIGSTOP)
		between(rng, 4*time.Second, 8*time.Second)
		p.signal(victim, syscall.SIGCONT)
		return victim
	}
}

func leaderOfTotals(p *pipeline) string { return p.leader(p.names.Summary(), 0) }

func controller(p *pipeline) string {
	p.t.Helper()
	return ask(p, func(ctx context.Context) (string, error) {
		req := kmsg.NewPtrDescribeQuorumRequest()
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic, topic.Partitions = "__cluster_metadata", []kmsg.DescribeQuorumRequestTopicPartition{{}}
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, p.cl)
		if err != nil {
			return "", err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].LeaderID < 0 {
			return "", fmt.Errorf("no leader of the controllers in %v", resp)
		}
		return fmt.Sprintf("kafka-%d", resp.Topics[0].Partitions[0].LeaderID), nil
	})
}

// coordinator is the broker that coordinates the transactions of the totals' stage.
func coordinator(p *pipeline) string {
	p.t.Helper()
	return ask(p, func(ctx context.Context) (string, error) {
		txns, err := p.adm.ListTransactions(ctx, nil, nil)
		if err != nil {
			return "", err
		}
		ids := txns.TransactionalIDs()
		slices.Sort(ids)
		i := slices.IndexFunc(ids, func(id string) bool { return strings.Contains(id, "turnstiles") })
		if i < 0 {
			return "", fmt.Errorf("the totals are not among the transactions %v", ids)
		}
		found := p.adm.FindTxnCoordinators(ctx, ids[i])
		return fmt.Sprintf("kafka-%d", found[ids[i]].NodeID), found.Error()
	})
}

// killRole kills a role and starts it again.
func killRole(name string) func(*pipeline, *rand.Rand) string {
	return func(p *pipeline, _ *rand.Rand) string {
		r := p.role(name)
		r.proc.Kill()
		p.run(r)
		return name
	}
}

// pauseRole stops a role in its tracks until its group has gone on without it.
func pauseRole(name string, most time.Duration) func(*pipeline, *rand.Rand) string {
	return func(p *pipeline, rng *rand.Rand) string {
		r := p.role(name)
		r.proc.Signal(syscall.SIGSTOP)
		between(rng, time.Second, most)
		r.proc.Signal(syscall.SIGCONT)
		return name
	}
}

// killPart kills a neighbour of the brokers and starts it again after a while.
func killPart(name string) func(*pipeline, *rand.Rand) string {
	return func(p *pipeline, rng *rand.Rand) string {
		p.signal(name, syscall.SIGKILL)
		between(rng, time.Second, 3*time.Second)
		p.up(name)
		return name
	}
}

func TestThirtyRandomFaultsLoseNothingAndRepeatNothing(t *testing.T) {
	long(t)
	c := newCluster(t, 3)
	proxies := c.proxied()
	c.first()
	var addrs []string
	for _, p := range proxies {
		addrs = append(addrs, p.Addr())
	}
	network := func(name string, break_, mend func(*faultnet.Proxy)) fault {
		return fault{name, func(_ *pipeline, rng *rand.Rand) string {
			for _, p := range proxies {
				break_(p)
			}
			between(rng, 2*time.Second, 8*time.Second)
			for _, p := range proxies {
				mend(p)
			}
			return "all connections to the brokers"
		}}
	}
	heal := func(p *faultnet.Proxy) { p.Heal() }
	reset := func(p *faultnet.Proxy) { p.Heal(); p.Cut() }
	faults := []fault{
		{"kill -9 of a leader", killBroker(leaderOfTotals)},
		{"kill -9 of the controller", killBroker(controller)},
		{"kill -9 of a coordinator", killBroker(coordinator)},
		{"pause of a leader", pauseBroker(leaderOfTotals)},
		{"pause of the controller", pauseBroker(controller)},
		{"pause of a coordinator", pauseBroker(coordinator)},
		{"kill -9 of a processor", killRole("process/one")},
		{"kill -9 of a processor", killRole("process/two")},
		{"pause of a processor", pauseRole("process/one", 20*time.Second)},
		{"kill -9 of the city", killRole("simulate")},
		{"pause of the city", pauseRole("simulate", 8*time.Second)},
		{"kill -9 of the gateway", killRole("gateway")},
		{"kill -9 of the station source", killRole("stations")},
		{"kill -9 of a website", killRole("serve")},
		{"kill -9 of Connect", killPart("connect")},
		{"kill -9 of the registry", killPart("registry")},
		{"kill -9 of PostgreSQL", killPart("postgres")},
		network("connections cut", func(p *faultnet.Proxy) { p.Refuse(true); p.Cut() }, heal),
		network("connections stalled", func(p *faultnet.Proxy) { p.Both(faultnet.Fault{Stall: true}) }, heal),
		network("connections half open", func(p *faultnet.Proxy) { p.Set(faultnet.Down, faultnet.Fault{Swallow: true}) }, reset),
	}
	p := c.start(event.PerStation, addrs, "gateway", "simulate", "stations", "process/one", "process/two", "serve", "serve/2")
	p.ready()

	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	rng := rand.New(rand.NewPCG(seed, 3))
	t.Logf("seed %d", seed)
	var order []fault
	for len(order) < 32 { // every fault once, then some of them again
		more := slices.Clone(faults)
		rng.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		order = append(order, more...)
	}
	order = order[:32]
	took := map[string][]time.Duration{}
	for i, f := range order {
		between(rng, 500*time.Millisecond, 3*time.Second)
		begun := time.Now()
		victim := f.do(p, rng)
		lasted := time.Since(begun)
		after := p.recovered(time.Now(), 90*time.Second)
		took[f.name] = append(took[f.name], after)
		t.Logf("%2d  %-30s %-32s lasted %4.1f s, recovered %4.1f s after it", i+1, f.name, victim, lasted.Seconds(), after.Seconds())
		p.inSync(time.Minute) // a second broker down would be an outage, not a fault
	}
	if after := p.recovered(time.Now(), 30*time.Second); after > 30*time.Second {
		t.Errorf("the lag was back to nothing %v after the last fault", after)
	}
	shown, gone := p.row("99th and After")
	t.Logf("after it all a new row is on the page after %v, a deleted one off it after %v", shown.Round(time.Millisecond), gone.Round(time.Millisecond))
	n := p.finish()
	t.Logf("%d faults (seed %d); %d records on the log are the undisturbed city's, and all totals follow", len(order), seed, n)
	for _, f := range faults {
		if d := took[f.name]; d != nil {
			t.Logf("recovery after %-30s %4.1f to %4.1f s, %d times", f.name, slices.Min(d).Seconds(), slices.Max(d).Seconds(), len(d))
			delete(took, f.name)
		}
	}
}
