package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// broker is the library's broker with what it needs to be trusted with data:
// recovery before it, a gate in front of it, and upkeep that runs only when it
// is safe. See recovery.go, gate.go and compactor.go for why.
type broker struct {
	dir         string
	log         *slog.Logger
	journal     *endJournal
	cluster     *kfake.Cluster
	ln          net.Listener
	addr        string
	minFree     int64
	hold        func() bool
	most        int64 // bytes of log up to which hold is asked
	upkeepEvery time.Duration
	compact     compactor
	report      Recovered

	full   atomic.Bool // too little space: produce requests are turned away
	broken atomic.Bool // a write failed: nothing is handled any more
	failed chan error  // the first failure, once; capacity 1

	gate gate
	stop context.CancelFunc
	wg   sync.WaitGroup
}

const (
	defaultUpkeep = 5 * time.Second
	spaceEvery    = 500 * time.Millisecond
	noTicks       = int64(math.MaxInt64 / int64(time.Millisecond) / 2) // ms: longer than anyone waits
)

// openBroker recovers the log in dir and serves it on o.KafkaAddr.
func openBroker(dir string, o Options, clean bool, log *slog.Logger) (_ *broker, err error) {
	b := &broker{dir: dir, log: log, minFree: o.MinFree, hold: o.HoldRetention, most: o.HoldLimit, upkeepEvery: o.upkeep, failed: make(chan error, 1)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the broker's folder: %w", err)
	}
	bound, err := listen(o.KafkaAddr, "Kafka broker", "--kafka-addr")
	if err != nil {
		return nil, err
	}
	ln := newGuardedListener(bound)
	defer close(ln.ready)
	defer func() {
		if err != nil {
			err = errors.Join(err, quietClose(ln))
		}
	}()
	journal, pending, err := openJournal(filepath.Join(dir, "ell-transaction.journal"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, journal.close())
		}
	}()
	b.journal = journal
	if b.report, err = recoverLog(dir, clean, pending); err != nil {
		return nil, err
	}
	// What was pending is in the log now.
	journal.open = true
	if err = journal.done(); err != nil {
		return nil, err
	}
	if b.cluster, err = kfake.NewCluster(b.options(ln)...); err != nil {
		return nil, fmt.Errorf("start the embedded Kafka broker: %w", err)
	}
	b.ln, b.addr = ln, ln.Addr().String()
	b.gate.b = b
	b.compact = compactor{b: b, growth: o.growth, sizes: map[string]int64{}}
	b.cluster.ControlKey(-1, b.gate.observe)
	b.cluster.ControlKey(listGroupsKey, lowerTypes)

	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.watchSpace()
	b.wg.Go(func() { b.every(ctx, spaceEvery, b.watchSpace) })
	b.wg.Go(func() { b.every(ctx, o.upkeep, func() { b.upkeep(ctx) }) })
	return b, nil
}

func quietClose(ln net.Listener) error {
	if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// listen binds addr or says which flag moves it.
func listen(addr, what, flag string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen on %s: %w: stop what uses the port, or choose another address with %s", what, addr, err, flag)
	}
	return ln, nil
}

func (b *broker) options(ln net.Listener) []kfake.Opt {
	// Java's clients cannot read this library's answers to these two.
	versions := kversion.V4_3_0()
	versions.SetMaxKeyVersion(19, 4) // CreateTopics
	versions.SetMaxKeyVersion(75, -1)
	return []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
		kfake.ClusterID("ell"),
		kfake.DataDir(b.dir),
		kfake.MaxVersions(versions),
		kfake.WithLogger(brokerLogger{b}),
		kfake.DefaultNumPartitions(1),
		// Members of one process need no long patience, and a killed one in
		// another process should not hold its partitions for long.
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{
			// The library applies retention to compacted topics too, with a
			// week as the default; and its ticker asks nobody whether a
			// transaction is open. Upkeep does both instead.
			"log.retention.ms":       "-1",
			"log.retention.bytes":    "-1",
			"log.cleaner.backoff.ms": strconv.FormatInt(noTicks, 10),
			// The library reads and rewrites its logs of offsets and producers in one
			// go when they have grown so far: 4 MiB would be 60 ms of standing still.
			"state.log.compact.bytes": strconv.Itoa(512 << 10),
			// Small files, since they are read whole at every start.
			"log.segment.bytes":          strconv.Itoa(4 << 20),
			"transaction.max.timeout.ms": strconv.Itoa(15 * 60 * 1000),
		}),
	}
}

// every calls fn each d until ctx ends.
func (b *broker) every(ctx context.Context, d time.Duration, fn func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			fn()
		}
	}
}

// fail stops the broker from answering anything: what it has in memory is no
// longer what is on the disk, and only a new start can tell which is right.
func (b *broker) fail(err error) {
	if b.broken.Swap(true) {
		return
	}
	b.log.Error("the embedded Kafka broker cannot go on: it could not write to its data folder", "folder", b.dir, "err", err)
	b.failed <- fmt.Errorf("embedded Kafka broker could not write to %s: %w: free space or mend the disk, then start again", b.dir, err)
}

// close stops the broker. With a failed write behind it nothing more is
// written, so that the next start recovers what is on the disk; then, or if
// the journal could not be closed, clean is false.
func (b *broker) close() (clean bool, err error) {
	b.stop()
	b.wg.Wait()
	if b.broken.Load() {
		return false, errors.Join(quietClose(b.ln), b.journal.close())
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		b.cluster.Close()
	}()
	select {
	case <-closed:
	case <-time.After(closeBroker):
		return false, errors.New("it did not close in time; the next start recovers its log")
	}
	if b.broken.Load() { // while closing
		return false, b.journal.close()
	}
	err = errors.Join(b.journal.done(), b.journal.close())
	return err == nil, err
}

// brokerLogger passes the library's log on and listens for writes that failed:
// the library logs them and answers as if they had not.
type brokerLogger struct{ b *broker }

// Logf implements kfake.Logger.
func (l brokerLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn {
		return
	}
	text := fmt.Sprintf(format, args...)
	for _, prefix := range []string{"persist ", "endTx:", "rebuildSegments ", "compact ", "save session state"} {
		if strings.HasPrefix(format, prefix) {
			l.b.fail(errors.New(text))
			return
		}
	}
	l.b.log.Debug("kafka broker", "what", text)
}
