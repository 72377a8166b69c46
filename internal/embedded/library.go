package embedded

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kfake"
)

// What the broker library does only for itself is reached by name: it compacts,
// and applies retention to, all topics in one go, which stops the broker for too
// long. The library's version is pinned, and tests fail without it.

// runInBroker calls fn while the library handles nothing, and returns after it.
//
//go:linkname runInBroker github.com/twmb/franz-go/pkg/kfake.(*Cluster).admin
func runInBroker(c *kfake.Cluster, fn func())

// compactPartition compacts one partition. To be called by way of runInBroker.
//
//go:linkname compactPartition github.com/twmb/franz-go/pkg/kfake.(*Cluster).compact
func compactPartition(c *kfake.Cluster, partition unsafe.Pointer, topic string)

// retainPartition applies retention to one partition. To be called by way of runInBroker.
//
//go:linkname retainPartition github.com/twmb/franz-go/pkg/kfake.(*Cluster).applyRetention
func retainPartition(c *kfake.Cluster, partition unsafe.Pointer, topic string)

// libraryPartition is the library's own record of a partition. Its methods
// are to be called by way of runInBroker.
type libraryPartition struct {
	cluster *kfake.Cluster
	topic   string
	data    reflect.Value // kfake.partData
}

var errOtherLibrary = fmt.Errorf("this version of %s keeps its partitions otherwise", reflect.TypeFor[kfake.Cluster]().PkgPath())

// findPartition returns a partition, nil if it was deleted.
func findPartition(c *kfake.Cluster, topic string, partition int32) (*libraryPartition, error) {
	data := reflect.ValueOf(c).Elem().FieldByName("data")
	if !data.IsValid() {
		return nil, errOtherLibrary
	}
	topics := data.FieldByName("tps")
	if !topics.IsValid() {
		return nil, errOtherLibrary
	}
	partitions := topics.MapIndex(reflect.ValueOf(topic))
	if !partitions.IsValid() {
		return nil, nil
	}
	p := partitions.MapIndex(reflect.ValueOf(partition))
	if !p.IsValid() {
		return nil, nil
	}
	lp := &libraryPartition{cluster: c, topic: topic, data: p.Elem()}
	for _, name := range []string{"highWatermark", "lastStableOffset", "nbytes"} {
		if f := lp.data.FieldByName(name); !f.IsValid() || !f.CanInt() {
			return nil, errOtherLibrary
		}
	}
	for _, name := range []string{"abortedTxns", "segments"} {
		if f := lp.data.FieldByName(name); !f.IsValid() || f.Kind() != reflect.Slice {
			return nil, errOtherLibrary
		}
	}
	return lp, nil
}

// open says whether a transaction is open on the partition.
func (p *libraryPartition) open() bool {
	return p.data.FieldByName("lastStableOffset").Int() != p.data.FieldByName("highWatermark").Int()
}

// bytes is the size of its log.
func (p *libraryPartition) bytes() int64 { return p.data.FieldByName("nbytes").Int() }

// end is the offset of its next record.
func (p *libraryPartition) end() int64 { return p.data.FieldByName("highWatermark").Int() }

// newest is the size of its last batch.
func (p *libraryPartition) newest() int64 {
	segments := p.data.FieldByName("segments")
	for i := segments.Len() - 1; i >= 0; i-- {
		if batches := segments.Index(i).FieldByName("index"); batches.Len() > 0 {
			return batches.Index(batches.Len() - 1).FieldByName("nbytes").Int()
		}
	}
	return 0
}

// retain removes what is older or more than the topic's retention.
func (p *libraryPartition) retain() {
	retainPartition(p.cluster, p.data.Addr().UnsafePointer(), p.topic)
}

// compact leaves the newest record of each key.
func (p *libraryPartition) compact() {
	compactPartition(p.cluster, p.data.Addr().UnsafePointer(), p.topic)
}

// forgetAborted makes the library forget the aborted transactions whose
// records and markers compaction has just removed.
//
// It goes on telling readers of them as long as an older record is left, and a
// reader that is told of an aborted transaction hides everything of its
// producer until the marker comes, which is gone: it would miss what that
// producer has committed since.
func (p *libraryPartition) forgetAborted() {
	aborted := p.data.FieldByName("abortedTxns")
	reflect.NewAt(aborted.Type(), aborted.Addr().UnsafePointer()).Elem().SetZero()
}
