package exactly

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARecordPoolGivesEnoughRoomAndTheSameRoomAgain(t *testing.T) {
	t.Parallel()
	var p recordPool
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 1000, 1 << 15, 1<<15 + 1, 1 << 17} {
		rs := p.GetRecords(n)
		if cap(rs) < n {
			t.Fatalf("asked for %d records, got room for %d", n, cap(rs))
		}
		if n == 0 {
			continue
		}
		first := &rs[:n][0]
		p.PutRecords(rs[:cap(rs)])
		again := p.GetRecords(n)
		if same := first == &again[:n][0]; same != (n >= poolFrom && n <= poolFrom<<(poolClasses-1)) {
			t.Errorf("%d records: the same room again: %v", n, same)
		}
	}
}

func TestARecordPoolKeepsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	var p recordPool
	for i := range 10_000 {
		p.PutRecords(make([]kgo.Record, poolFrom<<(i%poolClasses)))
		p.PutRecords(make([]kgo.Record, 100)) // none of its own
		if i%100 == 0 {
			p.GetRecords(poolFrom << (i % 7))
		}
		var kept int
		for _, f := range p.free {
			for _, rs := range f {
				kept += cap(rs)
			}
		}
		if kept != p.kept || kept > poolKeep {
			t.Fatalf("%d records kept, %d counted, %d allowed", kept, p.kept, poolKeep)
		}
		if kept == poolKeep {
			return
		}
	}
	t.Errorf("never filled: %d", p.kept)
}
