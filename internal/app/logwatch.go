package app

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	watchLogEvery  = 5 * time.Second
	watchLogWithin = 10 * time.Second
)

// logWatch looks at the brokers now and then, for the metrics: how far their
// topics are, which partitions miss replicas, and how full their disks are. What
// could not be seen this time keeps the value it had; ell_log_seen_timestamp_seconds tells its age.
type logWatch struct {
	p     *platform
	space func() (free, size uint64, ok bool) // of the embedded broker; nil: the brokers are asked
	label map[string]string                   // topic -> what it is counted under

	mu    sync.Mutex                 // guards all below
	ends  map[string]map[int32]int64 // topic -> partition -> end offset
	disks map[disk]room
	down  int // partitions without a leader
	under int // partitions with fewer replicas in sync than they have
	alive int // brokers
	seen  time.Time
}

type disk struct{ broker, dir string }

type room struct{ free, size float64 } // bytes

func (p *platform) newLogWatch(space func() (free, size uint64, ok bool)) *logWatch {
	w := &logWatch{p: p, space: space, label: map[string]string{}, ends: map[string]map[int32]int64{}, disks: map[disk]room{}}
	for _, s := range p.specs() {
		w.label[s.Name] = s.Name
		if _, ok := p.Names.StationOf(s.Name); ok {
			w.label[s.Name] = p.sensors(p.Names.KindOf(s.Name))
		}
	}
	return w
}

// run looks until ctx ends. A look that fails is told at debug level: the roles
// themselves tell of brokers that are away.
func (w *logWatch) run(ctx context.Context) error {
	cl, err := w.p.kafka.New()
	if err != nil {
		return err
	}
	defer cl.Close()
	tick := time.NewTicker(watchLogEvery)
	defer tick.Stop()
	for {
		if err := w.look(ctx, cl); err != nil && ctx.Err() == nil {
			w.p.Log.DebugContext(ctx, "look at the log for the metrics", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *logWatch) look(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, watchLogWithin)
	defer cancel()
	adm := kadm.NewClient(cl)
	names := make([]string, 0, len(w.label))
	for name := range w.label {
		names = append(names, name)
	}
	meta, err := adm.Metadata(ctx, names...)
	if err != nil {
		return err
	}
	w.noteReplicas(meta)
	ends, err := adm.ListEndOffsets(ctx, names...)
	w.noteEnds(ends)
	if err != nil {
		return err
	}
	return w.lookAtDisks(ctx, adm)
}

func (w *logWatch) noteReplicas(meta kadm.Metadata) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive, w.down, w.under, w.seen = len(meta.Brokers), 0, 0, time.Now()
	meta.Topics.EachPartition(func(p kadm.PartitionDetail) {
		switch {
		case p.Leader < 0:
			w.down++
		case len(p.ISR) < len(p.Replicas):
			w.under++
		}
	})
}

func (w *logWatch) noteEnds(ends kadm.ListedOffsets) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			return
		}
		if w.ends[o.Topic] == nil {
			w.ends[o.Topic] = map[int32]int64{}
		}
		w.ends[o.Topic][o.Partition] = o.Offset
	})
}

func (w *logWatch) lookAtDisks(ctx context.Context, adm *kadm.Client) error {
	disks := map[disk]room{}
	if w.space != nil {
		if free, size, ok := w.space(); ok {
			disks[disk{"embedded", w.p.Data}] = room{float64(free), float64(size)}
		}
	} else {
		one := kadm.TopicsSet{} // brokers tell of their disks whatever is asked for
		one.Add(w.p.Names.Clock(), 0)
		all, err := adm.DescribeAllLogDirs(ctx, one)
		all.Each(func(d kadm.DescribedLogDir) {
			if d.Err == nil && d.TotalBytes > 0 {
				disks[disk{strconv.Itoa(int(d.Broker)), d.Dir}] = room{float64(d.UsableBytes), float64(d.TotalBytes)}
			}
		})
		if err != nil && len(disks) == 0 {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disks = disks
	return nil
}

var (
	topicOffsets = describe("ell_topic_offsets_total", "End offsets of a topic's partitions, summed: its records, and a marker for each transaction and partition. The sensors' topics are counted together.", "topic")
	logBrokers   = describe("ell_log_brokers", "Brokers of the cluster that are alive.")
	logDown      = describe("ell_log_partitions_offline", "Partitions without a leader.")
	logUnder     = describe("ell_log_partitions_under_replicated", "Partitions with fewer replicas in sync than they have.")
	logSeen      = describe("ell_log_seen_timestamp_seconds", "When the brokers were last looked at, seconds since the epoch.")
	diskFree     = describe("ell_log_dir_free_bytes", "What is free on the disk of a broker's log folder.", "broker", "dir")
	diskSize     = describe("ell_log_dir_size_bytes", "Size of the disk of a broker's log folder.", "broker", "dir")
)

var _ prometheus.Collector = (*logWatch)(nil)

// Describe implements prometheus.Collector.
func (w *logWatch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{topicOffsets, logBrokers, logDown, logUnder, logSeen, diskFree, diskSize} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (w *logWatch) Collect(out chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen.IsZero() {
		return
	}
	set := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	sums := map[string]int64{}
	for topic, ends := range w.ends {
		for _, end := range ends {
			sums[w.label[topic]] += end
		}
	}
	for topic, n := range sums {
		out <- prometheus.MustNewConstMetric(topicOffsets, prometheus.CounterValue, float64(n), topic)
	}
	set(logBrokers, float64(w.alive))
	set(logDown, float64(w.down))
	set(logUnder, float64(w.under))
	set(logSeen, float64(w.seen.UnixMilli())/1000)
	for d, r := range w.disks {
		set(diskFree, r.free, d.broker, d.dir)
		set(diskSize, r.size, d.broker, d.dir)
	}
}
