package embedded

import (
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kfake"
)

// forgetAborted makes the broker library forget the aborted transactions of a
// partition whose records and markers compaction has just removed.
//
// The library goes on telling readers of them as long as an older record is
// left, and a reader that is told of an aborted transaction hides everything
// of its producer until the marker comes, which is gone: it would miss what
// that producer has committed since. There is no call for this, so it is done
// by name; the library's version is pinned, and a test fails without it.
//
// It must be called while no transaction is open on the partition and the
// library handles nothing.
func forgetAborted(c *kfake.Cluster, topic string, partition int32) error {
	data := reflect.ValueOf(c).Elem().FieldByName("data")
	if !data.IsValid() {
		return errOtherLibrary
	}
	topics := data.FieldByName("tps")
	if !topics.IsValid() {
		return errOtherLibrary
	}
	partitions := topics.MapIndex(reflect.ValueOf(topic))
	if !partitions.IsValid() {
		return nil // deleted meanwhile
	}
	p := partitions.MapIndex(reflect.ValueOf(partition))
	if !p.IsValid() {
		return nil
	}
	aborted := p.Elem().FieldByName("abortedTxns")
	if !aborted.IsValid() {
		return errOtherLibrary
	}
	reflect.NewAt(aborted.Type(), aborted.Addr().UnsafePointer()).Elem().SetZero()
	return nil
}

var errOtherLibrary = fmt.Errorf("this version of %s keeps aborted transactions elsewhere", reflect.TypeFor[kfake.Cluster]().PkgPath())
