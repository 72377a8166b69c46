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
	if err := b.writeHighwater(topics); err != nil {
		b.log.Warn("broker upkeep is put off", "err", err)
		return
	}
	if b.hold == nil || b.allBytes(topics) >= b.most || !b.hold() {
		b.cluster.ApplyRetention()
	}
	b.compact.run(ctx, topics)
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

func (b *broker) allBytes(topics []storedTopic) int64 {
	var n int64
	for _, t := range topics {
		for _, p := range b.cluster.PartitionInfos(t.Name) {
			n += p.NumBytes
		}
	}
	return n
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
