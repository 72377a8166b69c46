package embedded

import (
	"context"
	"path/filepath"
	"time"
)

// Hurry makes upkeep frequent and compaction eager.
func Hurry(o *Options, every time.Duration, growth int64) { o.upkeep, o.growth = every, growth }

// Compactions is how many partitions have been compacted.
func (s *Stack) Compactions() int64 { return s.broker.compact.done.Load() }

// Upkeep runs upkeep now.
func (s *Stack) Upkeep() { s.broker.upkeep(context.Background()) }

// RetainAfter notes where partitions end, calls between, and applies retention.
func (s *Stack) RetainAfter(between func()) error {
	topics, err := s.broker.topics()
	if err != nil {
		return err
	}
	noted, err := s.broker.noteEnds(topics)
	if err != nil {
		return err
	}
	between()
	return s.broker.retain(context.Background(), topics, noted)
}

// WatchSpace looks at the free space now, wanting at least n bytes.
func (s *Stack) WatchSpace(n int64) {
	s.broker.minFree = n
	s.broker.watchSpace()
}

// FailWrite is what the broker does when the library says that a write failed.
func (s *Stack) FailWrite(format string, args ...any) {
	brokerLogger{s.broker}.Logf(2, format, args...)
}

// PendingEnd is a decision in the journal.
type PendingEnd = pendingEnd

// GroupOffset is an offset in it.
type GroupOffset = groupEntry

// WritePending puts p into the journal of a data folder that nobody has open.
func WritePending(dir string, p PendingEnd) error {
	j, _, err := openJournal(filepath.Join(dir, "kafka", "ell-transaction.journal"))
	if err != nil {
		return err
	}
	if err := j.begin(p); err != nil {
		return err
	}
	return j.close()
}

// Marker is a transaction marker as the broker writes it.
func Marker(offset, producer int64, epoch int16, commit bool) []byte {
	return markerBatch(offset, producer, epoch, 0, commit, 1)
}

// SparePartitions is the first half of a compaction.
var SparePartitions = sparePartitions

// PartitionDir is where a partition is in a data folder.
func PartitionDir(dir, topic string, partition int32) string {
	return partitionDir(filepath.Join(dir, "kafka"), topic, partition)
}

// ParseBatch and Frames are what recovery reads files with.
func ParseBatch(raw []byte) (size int64, whole bool, err error) {
	b, whole, err := parseBatch(raw)
	return b.size, whole, err
}

// Frames splits an append log.
var (
	Frames      = frames
	AppendFrame = appendFrame
)

// PartitionBytes is the size of a partition's log.
func (s *Stack) PartitionBytes(topic string, partition int32) int64 {
	return s.broker.cluster.PartitionInfo(topic, partition).NumBytes
}
