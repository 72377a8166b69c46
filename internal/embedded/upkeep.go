package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// upkeep compacts what pays, and applies retention. It ends early with ctx.
func (b *broker) upkeep(ctx context.Context) {
	if b.broken.Load() {
		return
	}
	b.gate.forget(time.Now())
	topics, err := b.topics()
	if err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	// Before retention or compaction may empty a partition, its end is written down.
	now, err := b.noteEnds(topics)
	if err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	if err := b.retain(ctx, topics, now); err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	b.compact.run(ctx, topics)
}

// ends are the partitions' ends and sizes at one time, by topic.
type ends map[string]map[int32]highwater

// size is the number of partitions and the bytes of their logs.
func (e ends) size() (partitions int, bytes int64) {
	for _, ps := range e {
		partitions += len(ps)
		for _, p := range ps {
			bytes += p.bytes
		}
	}
	return partitions, bytes
}

// retainRest is the longest rest between the retention of two partitions.
const retainRest = 10 * time.Millisecond

// retain applies retention, a partition at a time and spread over half the time
// to the next upkeep: removing the files of three hundred topics in one go takes
// tens of milliseconds, in which nothing moves. noted is where the partitions
// ended a moment ago, as the disk has it. It stops when a reader falls behind.
func (b *broker) retain(ctx context.Context, topics []storedTopic, noted ends) error {
	n, bytes := noted.size()
	rest := min(b.upkeepEvery/2/time.Duration(max(n, 1)), retainRest)
	for _, t := range topics {
		for partition := range noted[t.Name] {
			if b.broken.Load() || b.hold != nil && bytes < b.most && b.hold() {
				return nil
			}
			var err error
			runInBroker(b.cluster, func() { err = b.retainOne(t, partition, noted) })
			if err != nil {
				return fmt.Errorf("apply retention to %s: %w", t.Name, err)
			}
			if !pause(ctx, rest) {
				return nil
			}
		}
	}
	return nil
}

func (b *broker) retainOne(t storedTopic, partition int32, noted ends) error {
	p, err := findPartition(b.cluster, t.Name, partition)
	if err != nil || p == nil {
		return err
	}
	// Retention drops even the newest batch if that is larger than all it may keep;
	// then nothing but the noted end says where the partition was.
	was := noted[t.Name][partition]
	if kept, bounded := t.number("retention.bytes"); bounded && p.newest() > kept && p.end() != was.Offset {
		was.Offset = p.end()
		noted[t.Name][partition] = was
		if err := b.writeEnds(noted); err != nil {
			return err
		}
	}
	p.retain()
	return nil
}

// topics are those the broker has now.
func (b *broker) topics() ([]storedTopic, error) {
	raw, err := os.ReadFile(filepath.Join(b.dir, "topics.json"))
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return parseTopics(raw)
}

// noteEnds writes down where each partition ends.
func (b *broker) noteEnds(topics []storedTopic) (ends, error) {
	now := make(ends)
	for _, t := range topics {
		for _, p := range b.cluster.PartitionInfos(t.Name) {
			if p.HighWatermark == 0 {
				continue
			}
			if now[t.Name] == nil {
				now[t.Name] = make(map[int32]highwater)
			}
			now[t.Name][p.Partition] = highwater{TopicID: t.ID, Offset: p.HighWatermark, bytes: p.NumBytes}
		}
	}
	return now, b.writeEnds(now)
}

func (b *broker) writeEnds(e ends) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	// Not forced to the disk: it protects from kills, every few seconds.
	tmp := highwaterPath(b.dir) + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write partition ends: %w", err)
	}
	return os.Rename(tmp, highwaterPath(b.dir))
}

func compacted(t storedTopic) bool {
	p := t.Configs["cleanup.policy"]
	return p == "compact" || p == "compact,delete" || p == "delete,compact"
}

// watchSpace turns produce requests away while the file system has less than
// minFree left, so that the library never meets a full disk in the middle of
// ending a transaction. Clients repeat, and nothing is lost.
func (b *broker) watchSpace() {
	free, _, ok := space(b.dir)
	if !ok {
		return
	}
	full := b.minFree > 0 && free < uint64(b.minFree)
	if b.full.Swap(full) == full {
		return
	}
	if full {
		b.log.Error("the disk is nearly full: the embedded Kafka broker takes no records until there is space",
			"folder", b.dir, "free_bytes", free, "needed_bytes", b.minFree)
	} else {
		b.log.Info("there is space again: the embedded Kafka broker takes records", "folder", b.dir, "free_bytes", free)
	}
}
