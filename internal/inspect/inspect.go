// Package inspect looks into topics for people: lists them with their
// watermarks, and reads some records, decoded. It is web.Log over Kafka.
//
// It deliberately keeps nothing between calls, joins no group and commits
// nothing: each look uses a client of its own and is bounded in records, bytes
// and time, so that a curious reader cannot slow the pipeline down.
package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/kafka"
	"ell/internal/web"
)

// Bounds of one look.
const (
	atOnce     = 4                      // looks under way, the others wait
	maxScan    = 20_000                 // records looked at for a filter
	newestScan = 5_000                  // the same from the end of a partition
	maxTime    = 5 * time.Second        // reading, in all
	quiet      = 400 * time.Millisecond // without a record: the rest is not there
	fetchBytes = 4 << 20
)

// Schemas finds the text of a schema by its id, as registry.Client does.
type Schemas interface {
	Schema(id int) (string, error)
}

// Config says where to look. All fields are required.
type Config struct {
	Kafka   kafka.Config
	Schemas Schemas
	Logger  *slog.Logger
}

// Log reads topics. It is safe for concurrent use.
type Log struct {
	cfg   Config
	slots chan struct{} // capacity atOnce: looks under way
}

// New makes a Log; nothing is contacted.
func New(cfg Config) (*Log, error) {
	if cfg.Schemas == nil || cfg.Logger == nil {
		return nil, errors.New("make topic reader: schemas and logger are required")
	}
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, fmt.Errorf("make topic reader: %w", err)
	}
	return &Log{cfg: cfg, slots: make(chan struct{}, atOnce)}, nil
}

// enter waits for a slot and returns how to leave it.
func (l *Log) enter(ctx context.Context) (func(), error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn to read topics: %w", ctx.Err())
	}
}

// Topics lists every topic that is not the cluster's own, by name.
func (l *Log) Topics(ctx context.Context) ([]web.TopicInfo, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	cl, err := l.cfg.Kafka.New()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	start, err := adm.ListStartOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list oldest offsets: %w", err)
	}
	return watermarks(ctx, adm, start)
}

// Topic describes one topic, with its settings.
func (l *Log) Topic(ctx context.Context, name string) (web.TopicInfo, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return web.TopicInfo{}, err
	}
	defer leave()
	cl, err := l.cfg.Kafka.New()
	if err != nil {
		return web.TopicInfo{}, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	info, err := topic(ctx, adm, name)
	if err != nil {
		return web.TopicInfo{}, err
	}
	configs, err := adm.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return web.TopicInfo{}, fmt.Errorf("describe topic %s: %w", name, err)
	}
	info.Config = make(map[string]string)
	for _, c := range configs {
		for _, kv := range c.Configs {
			if kv.Value != nil && !kv.Sensitive {
				info.Config[kv.Key] = *kv.Value
			}
		}
	}
	return info, nil
}

// topic finds the watermarks of one topic.
func topic(ctx context.Context, adm *kadm.Client, name string) (web.TopicInfo, error) {
	start, err := adm.ListStartOffsets(ctx, name)
	if err != nil {
		return web.TopicInfo{}, fmt.Errorf("list oldest offsets of %s: %w", name, err)
	}
	for _, p := range start[name] {
		if errors.Is(p.Err, kerr.UnknownTopicOrPartition) {
			return web.TopicInfo{}, fmt.Errorf("topic %s: %w", name, web.ErrNoTopic)
		}
	}
	list, err := watermarks(ctx, adm, start)
	if err != nil {
		return web.TopicInfo{}, err
	}
	if len(list) == 0 {
		return web.TopicInfo{}, fmt.Errorf("topic %s: %w", name, web.ErrNoTopic)
	}
	return list[0], nil
}

// watermarks adds the ends to known starts.
func watermarks(ctx context.Context, adm *kadm.Client, start kadm.ListedOffsets) ([]web.TopicInfo, error) {
	names := make([]string, 0, len(start))
	for name := range start {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	end, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list newest offsets: %w", err)
	}
	stable, err := adm.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list stable offsets: %w", err)
	}
	slices.Sort(names)
	out := make([]web.TopicInfo, 0, len(names))
	for _, name := range names {
		info := web.TopicInfo{Name: name}
		for n, s := range start[name] {
			e, _ := end.Lookup(name, n)
			st, _ := stable.Lookup(name, n)
			if err := cmp.Or(s.Err, e.Err, st.Err); err != nil {
				return nil, fmt.Errorf("offsets of %s-%d: %w", name, n, err)
			}
			info.Partitions = append(info.Partitions, web.PartitionInfo{Partition: n, Start: s.Offset, End: e.Offset, Stable: st.Offset})
			info.Records += e.Offset - s.Offset
		}
		slices.SortFunc(info.Partitions, func(a, b web.PartitionInfo) int { return cmp.Compare(a.Partition, b.Partition) })
		out = append(out, info)
	}
	return out, nil
}

// Records reads committed records as q asks.
func (l *Log) Records(ctx context.Context, q web.RecordQuery) (web.RecordPage, error) {
	page := web.RecordPage{Records: []web.LogRecord{}, Next: make(map[int32]int64)}
	leave, err := l.enter(ctx)
	if err != nil {
		return page, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	ranges, err := l.plan(ctx, q)
	if err != nil {
		return page, err
	}
	if len(ranges) == 0 {
		return page, nil
	}
	from := make(map[int32]kgo.Offset, len(ranges))
	for n, r := range ranges {
		from[n] = kgo.NewOffset().At(r.from)
		page.Next[n] = r.from
	}
	cl, err := l.cfg.Kafka.New(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{q.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes/4), kgo.FetchMaxWait(quiet/2))
	if err != nil {
		return page, err
	}
	defer cl.Close()
	err = l.scan(ctx, cl, q, ranges, &page)
	return page, err
}

// span is what is read of a partition.
type span struct{ from, end int64 }

// plan says which offsets to read, by partition; partitions with nothing to read
// are left out.
func (l *Log) plan(ctx context.Context, q web.RecordQuery) (map[int32]span, error) {
	cl, err := l.cfg.Kafka.New()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	info, err := topic(ctx, adm, q.Topic)
	if err != nil {
		return nil, err
	}
	var after kadm.ListedOffsets
	if q.Offset == -1 {
		if after, err = adm.ListOffsetsAfterMilli(ctx, q.Time, q.Topic); err != nil {
			return nil, fmt.Errorf("find offsets by time in %s: %w", q.Topic, err)
		}
	}
	back := int64(q.Limit) * 2 // every second offset may be a transaction's marker
	if q.Filter != "" {
		back = newestScan
		if q.Partition < 0 { // the newest of all within the bound, not all of some
			back = max(1, min(newestScan, maxScan/int64(max(1, len(info.Partitions)))))
		}
	}
	found := q.Partition < 0
	out := make(map[int32]span)
	for _, p := range info.Partitions {
		if q.Partition >= 0 && p.Partition != q.Partition {
			continue
		}
		found = true
		from := p.Start
		switch {
		case q.Offset >= 0:
			from = max(from, q.Offset)
		case q.Offset == -1:
			o, ok := after.Lookup(q.Topic, p.Partition)
			if !ok || o.Err != nil || o.Offset < 0 {
				from = p.Stable
			} else {
				from = max(from, o.Offset)
			}
		default:
			from = max(from, p.Stable-back)
		}
		if from < p.Stable {
			out[p.Partition] = span{from, p.Stable}
		}
	}
	if !found {
		return nil, fmt.Errorf("partition %d of %s: %w", q.Partition, q.Topic, web.ErrNoTopic)
	}
	return out, nil
}

// scan reads the spans into the page.
func (l *Log) scan(ctx context.Context, cl *kgo.Client, q web.RecordQuery, spans map[int32]span, page *web.RecordPage) error {
	d := decoder{schemas: l.cfg.Schemas, parsed: make(map[int]*parsed)}
	newest := q.Offset == -2
	filter := strings.ToLower(q.Filter)
	left := len(spans)
	for left > 0 && page.Scanned < maxScan && (newest || len(page.Records) < q.Limit) {
		wait, cancel := context.WithTimeout(ctx, quiet)
		fetches := cl.PollRecords(wait, 1000)
		idle := wait.Err() != nil
		cancel()
		if ctx.Err() != nil {
			page.More = true
			break
		}
		if fetches.Empty() && idle {
			break // what is left was aborted or compacted away
		}
		for _, fe := range fetches.Errors() {
			if !errors.Is(fe.Err, context.DeadlineExceeded) && !errors.Is(fe.Err, context.Canceled) {
				return fmt.Errorf("read %s-%d: %w", fe.Topic, fe.Partition, fe.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			s, ok := spans[r.Partition]
			if !ok || r.Offset >= s.end || r.Offset < page.Next[r.Partition] || !newest && len(page.Records) >= q.Limit {
				return
			}
			page.Next[r.Partition] = r.Offset + 1
			if r.Offset == s.end-1 {
				left--
			}
			if r.Attrs.IsControl() {
				return
			}
			page.Scanned++
			rec := d.record(r)
			if filter == "" || matches(&rec, filter) {
				page.Records = append(page.Records, rec)
			}
		})
	}
	if newest {
		trim(page, q.Limit)
	}
	page.More = page.More || left > 0 && (!newest || page.Scanned >= maxScan)
	return nil
}

// trim keeps the newest records of all partitions.
func trim(page *web.RecordPage, limit int) {
	slices.SortStableFunc(page.Records, func(a, b web.LogRecord) int {
		return cmp.Or(cmp.Compare(a.Appended, b.Appended), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	if n := len(page.Records) - limit; n > 0 {
		page.Records = slices.Delete(page.Records, 0, n)
	}
}

// matches says whether a record has the text, in lower case, in its key, value or headers.
func matches(r *web.LogRecord, text string) bool {
	has := func(d *web.Datum) bool {
		return strings.Contains(strings.ToLower(string(d.JSON)), text) || strings.Contains(strings.ToLower(d.Text), text)
	}
	if has(&r.Key) || has(&r.Value) {
		return true
	}
	for i := range r.Headers {
		if strings.Contains(strings.ToLower(r.Headers[i].Key), text) || has(&r.Headers[i].Value) {
			return true
		}
	}
	return false
}
