package embedded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// upkeep applies retention, and asks the gate for a compaction when one pays.
func (b *broker) upkeep() {
	if b.broken.Load() {
		return
	}
	topics, err := b.topics()
	if err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	// Before retention may empty a partition, its end is written down.
	if err := b.writeHighwater(topics); err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	if b.hold != nil && b.allBytes(topics) < b.most && b.hold() {
		return // compaction would remove old records too
	}
	b.cluster.ApplyRetention()
	grown := b.compactedBytes(topics) - b.sizes.Load()
	if grown >= b.growth || grown >= compactLeast && time.Since(b.gate.lastCompaction()) >= compactAfter {
		b.gate.request()
	}
}

// topics are those the broker has now.
func (b *broker) topics() ([]storedTopic, error) {
	raw, err := os.ReadFile(filepath.Join(b.dir, "topics.json"))
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return parseTopics(raw)
}

func (b *broker) writeHighwater(topics []storedTopic) error {
	ends := make(map[string]map[int32]highwater)
	for _, t := range topics {
		for _, p := range b.cluster.PartitionInfos(t.Name) {
			if p.HighWatermark == 0 {
				continue
			}
			if ends[t.Name] == nil {
				ends[t.Name] = make(map[int32]highwater)
			}
			ends[t.Name][p.Partition] = highwater{TopicID: t.ID, Offset: p.HighWatermark}
		}
	}
	raw, err := json.Marshal(ends)
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

func (b *broker) compactedBytes(topics []storedTopic) int64 {
	var n int64
	b.eachCompacted(topics, func(_ storedTopic, p *kfake.PartitionInfo) { n += p.NumBytes })
	return n
}

func (b *broker) allBytes(topics []storedTopic) int64 {
	var n int64
	for _, t := range topics {
		for _, p := range b.cluster.PartitionInfos(t.Name) {
			n += p.NumBytes
		}
	}
	return n
}

func (b *broker) eachCompacted(topics []storedTopic, fn func(storedTopic, *kfake.PartitionInfo)) {
	for _, t := range topics {
		if compacted(t) {
			for _, p := range b.cluster.PartitionInfos(t.Name) {
				fn(t, p)
			}
		}
	}
}

// compact compacts if no transaction is open on a compacted topic, and
// reports whether it did. It is called from the gate only, while the library
// handles nothing else.
//
// The library counts an open transaction's records as newer values, and drops
// the older committed ones for them: if the transaction then aborts, both are
// gone. Hence the condition.
func (b *broker) compact() bool {
	topics, err := b.topics()
	if err != nil {
		b.log.Warn("compaction is put off", "err", err)
		return false
	}
	open := false
	var names []string
	b.eachCompacted(topics, func(t storedTopic, p *kfake.PartitionInfo) {
		open = open || p.LastStableOffset != p.HighWatermark
		names = append(names, filepath.Base(partitionDir(b.dir, t.Name, p.Partition)))
	})
	if open {
		return false
	}
	// Compaction applies retention, too.
	if err := b.writeHighwater(topics); err != nil {
		b.log.Warn("compaction is put off", "err", err)
		return false
	}
	began := time.Now()
	if err := sparePartitions(b.dir, names); err != nil {
		b.fail(err)
		return true
	}
	for _, name := range names {
		if err := settle(filepath.Join(b.dir, "partitions", name)); err != nil {
			b.fail(err)
			return true
		}
	}
	b.cluster.Compact()
	if b.broken.Load() {
		return true // the spare names stay for the next start
	}
	b.eachCompacted(topics, func(t storedTopic, p *kfake.PartitionInfo) {
		if err := forgetAborted(b.cluster, t.Name, p.Partition); err != nil {
			b.fail(fmt.Errorf("finish compaction: %w", err))
		}
	})
	if err := dropSpare(b.dir); err != nil {
		b.fail(fmt.Errorf("finish compaction: %w", err))
		return true
	}
	b.sizes.Store(b.compactedBytes(topics))
	b.log.Debug("compacted", "partitions", len(names), "bytes", b.sizes.Load(), "took", time.Since(began))
	return true
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
