package exactly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// reserved is how keys of a changelog begin that are not the reducers'. (As
// Confluent framing it would be schema id 1,701,604,398.)
var reserved = []byte("\x00ell.")

// Reserved keys of a changelog. The origin is the first record of every
// partition and is written once: if it is gone, so may be state behind it. A
// barrier is written whenever tasks of the partition change hands: everything
// that a former owner could commit lies before it.
const (
	originKey  = "\x00ell.origin"
	barrierKey = "\x00ell.barrier"
)

// restoreStep is how often a restore that waits looks up and says so.
const restoreStep = 5 * time.Second

// lookUpTries bounds the repetitions of a look-up, some 5 s in all.
const lookUpTries = 8

// restoreJob is work for the restoring goroutine: until it is done, the
// reducers of its tasks belong to it.
type restoreJob struct {
	tasks []*task // state to read
	parts []*part // ends to look up
}

// restoreResult is what came of it.
type restoreResult struct {
	job  restoreJob
	ends map[*part]span
	took time.Duration
	read int64 // changelog records
	err  error
}

// span is where a partition begins and where its stable part ends.
type span struct{ start, stable, end int64 }

// restore brings the tasks of a job to their committed state.
func (s *session) restore(ctx context.Context, job restoreJob) (res *restoreResult) {
	begin := time.Now()
	res = &restoreResult{job: job}
	defer func() {
		if v := recover(); v != nil {
			res.err = panicked("restore", v)
		}
		res.took = time.Since(begin)
	}()
	if len(job.tasks) > 0 {
		res.read, res.err = s.readState(ctx, job.tasks)
		if res.err != nil {
			return res
		}
	}
	res.ends, res.err = s.lookUpEnds(ctx, job.parts)
	return res
}

// logPart is one changelog partition being read.
type logPart struct {
	tasks   map[Task]*task
	barrier int64 // offset of our barrier
	origin  bool  // the origin record was seen
	fresh   bool  // the partition was empty and the origin is ours
	done    bool
}

// readState reads the changelog partitions of tasks up to a barrier written
// now. A former owner's transaction that is still open holds the barrier back
// from read_committed readers, so this waits for its end.
func (s *session) readState(ctx context.Context, tasks []*task) (read int64, err error) {
	topic := s.cfg.Stage.Changelog
	parts := map[int32]*logPart{}
	for _, t := range tasks {
		lp := parts[t.log]
		if lp == nil {
			lp = &logPart{tasks: map[Task]*task{}}
			parts[t.log] = lp
		}
		lp.tasks[t.id] = t
	}
	if s.cfg.Stage.Owner == nil {
		for p, lp := range parts {
			if len(lp.tasks) > 1 {
				return 0, fmt.Errorf("%w: %d tasks share partition %d of changelog %s, and the stage does not say whose a record is", ErrMisconfigured, len(lp.tasks), p, topic)
			}
		}
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt(nil), s.cfg.Client...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(fetchBytes),
	)...)
	if err != nil {
		return 0, fmt.Errorf("%w: make the client that restores: %w", ErrMisconfigured, err)
	}
	defer cl.Close()
	if err := s.writeBarriers(ctx, cl, topic, parts); err != nil {
		return 0, err
	}
	from := map[int32]kgo.Offset{}
	for p := range parts {
		from[p] = kgo.NewOffset().AtStart()
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	read, err = s.readToBarriers(ctx, cl, topic, parts)
	if err != nil {
		return read, err
	}
	for p, lp := range parts {
		if !lp.origin {
			return read, fmt.Errorf("%w: partition %d of changelog %s has lost its beginning (the record that every one starts with is gone): stop every instance, delete the changelog, the stage's outputs and group %s, and process from the beginning",
				ErrStateLost, p, topic, s.cfg.Stage.Name)
		}
		for _, t := range lp.tasks {
			t.fresh = lp.fresh
		}
	}
	return read, nil
}

func (s *session) writeBarriers(ctx context.Context, cl *kgo.Client, topic string, parts map[int32]*logPart) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RestoreStall)
	defer cancel()
	var ends kadm.ListedOffsets
	err := retry(ctx, func(ctx context.Context) (err error) {
		if ends, err = kadm.NewClient(cl).ListEndOffsets(ctx, topic); err == nil {
			err = ends.Error()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look up the end of changelog %s: %w", topic, err)
	}
	var recs []*kgo.Record
	for p, lp := range parts {
		end, ok := ends.Lookup(topic, p)
		if !ok {
			return fmt.Errorf("%w: changelog %s has no partition %d: create it with more partitions", ErrMisconfigured, topic, p)
		}
		if lp.fresh = end.Offset == 0; lp.fresh {
			recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: []byte(originKey), Value: []byte("1")})
		}
		recs = append(recs, &kgo.Record{Topic: topic, Partition: p, Key: []byte(barrierKey), Value: []byte(s.cfg.TransactionalID)})
	}
	for _, r := range cl.ProduceSync(ctx, recs...) {
		if r.Err != nil {
			return fmt.Errorf("write the restore barrier to %s-%d: %w", topic, r.Record.Partition, r.Err)
		}
		if string(r.Record.Key) == barrierKey {
			parts[r.Record.Partition].barrier = r.Record.Offset
		}
	}
	return nil
}

func (s *session) readToBarriers(ctx context.Context, cl *kgo.Client, topic string, parts map[int32]*logPart) (read int64, err error) {
	left := len(parts)
	progress := time.Now()
	for left > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, restoreStep)
		fetches := cl.PollFetches(pollCtx)
		cancel()
		if ctx.Err() != nil {
			return read, ctx.Err()
		}
		for _, fe := range fetches.Errors() {
			if !errors.Is(fe.Err, context.DeadlineExceeded) {
				return read, fmt.Errorf("read changelog %s-%d: %w", fe.Topic, fe.Partition, fe.Err)
			}
		}
		before := read
		fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
			lp := parts[fp.Partition]
			for _, r := range fp.Records {
				if err != nil || lp == nil || lp.done {
					return
				}
				read++
				err = s.restoreRecord(lp, r)
				if lp.done {
					left--
				}
			}
		})
		if err != nil {
			return read, err
		}
		if read > before {
			progress = time.Now()
			continue
		}
		if still := time.Since(progress); left > 0 && still > restoreStep {
			waits := waiting(parts)
			s.log.WarnContext(ctx, "restore waits for a transaction to end", "changelog", topic, "partitions", waits, "for", still.Round(time.Second))
			if still > s.cfg.RestoreStall {
				return read, fmt.Errorf("restore from %s made no progress for %s (partitions %v): a transaction may hang there", topic, still.Round(time.Second), waits)
			}
		}
	}
	return read, nil
}

func waiting(parts map[int32]*logPart) (ps []int32) {
	for p, lp := range parts {
		if !lp.done {
			ps = append(ps, p)
		}
	}
	return ps
}

// restoreRecord hands one changelog record to the reducer it belongs to.
func (s *session) restoreRecord(lp *logPart, r *kgo.Record) error {
	if bytes.HasPrefix(r.Key, reserved) {
		switch string(r.Key) {
		case originKey:
			lp.origin = true
		case barrierKey:
			// A later one serves as well: ours may be compacted away.
			lp.done = r.Offset >= lp.barrier
		}
		return nil
	}
	var t *task
	if s.cfg.Stage.Owner != nil {
		t = lp.tasks[s.cfg.Stage.Owner(r.Key, r.Partition)]
	} else {
		for _, only := range lp.tasks {
			t = only
		}
	}
	if t == nil {
		return nil // another task's
	}
	if err := t.reducer.Restore(r.Key, r.Value); err != nil {
		return fmt.Errorf("%w: restore %s from %s-%d@%d: %w", errFatal, t.id, r.Topic, r.Partition, r.Offset, err)
	}
	if r.Value != nil {
		t.hadState = true
	}
	return nil
}

// lookUpEnds asks where the given partitions begin and end.
func (s *session) lookUpEnds(ctx context.Context, parts []*part) (map[*part]span, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	seen := map[string]bool{}
	var topics []string
	for _, p := range parts {
		if !seen[p.topic] {
			seen[p.topic] = true
			topics = append(topics, p.topic)
		}
	}
	var spans map[*part]span
	err := retry(ctx, func(ctx context.Context) (err error) {
		spans, err = s.askEnds(ctx, topics, parts)
		return err
	})
	return spans, err
}

func (s *session) askEnds(ctx context.Context, topics []string, parts []*part) (map[*part]span, error) {
	starts, err := s.adm.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up where the input begins: %w", err)
	}
	stable, err := s.adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up where the input ends: %w", err)
	}
	ends, err := s.adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look up where the input ends: %w", err)
	}
	spans := make(map[*part]span, len(parts))
	for _, p := range parts {
		a, okA := starts.Lookup(p.topic, p.id)
		b, okB := stable.Lookup(p.topic, p.id)
		c, okC := ends.Lookup(p.topic, p.id)
		if err := errors.Join(a.Err, b.Err, c.Err); err != nil {
			return nil, fmt.Errorf("look up the ends of %s-%d: %w", p.topic, p.id, err)
		}
		if !okA || !okB || !okC {
			return nil, fmt.Errorf("look up the ends of %s-%d: not there", p.topic, p.id)
		}
		spans[p] = span{start: a.Offset, stable: b.Offset, end: c.Offset}
	}
	return spans, nil
}

// retry repeats a look-up that the broker says may be repeated (a leader
// moves, a topic is just being made), for a few seconds.
func retry(ctx context.Context, fn func(context.Context) error) error {
	for n := 1; ; n++ {
		err := fn(ctx)
		if err == nil || n > lookUpTries || !retriable(err) {
			return err
		}
		sleep(ctx, backoff(n, 50*time.Millisecond, time.Second))
		if ctx.Err() != nil {
			return err
		}
	}
}

func retriable(err error) bool {
	var ke *kerr.Error
	return errors.As(err, &ke) && ke.Retriable
}
