package exactly

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// poolFrom is the smallest batch whose records come from the pool: below it
	// the bookkeeping costs more than an allocation.
	poolFrom = 64
	// poolClasses bounds the batches kept for reuse, by the power of two of
	// their length: from poolFrom to 2^15 records.
	poolClasses = 10
	// poolKeep is how many records are kept at most, some 24 MB.
	poolKeep = 1 << 17
)

// recordPool gives the client's records, which are most of what reading a log
// allocates, from one fetch to the next. Only the structs are shared, not the bytes
// that keys and values point to.
type recordPool struct {
	mu   sync.Mutex
	free [poolClasses][][]kgo.Record // guarded by mu
	kept int                         // records in free; guarded by mu
}

// GetRecords implements kgo.PoolRecords.
func (p *recordPool) GetRecords(n int) []kgo.Record {
	class := max(bits.Len(uint(max(n, poolFrom)-1))-bits.Len(poolFrom-1), 0)
	if n < poolFrom || class >= poolClasses {
		return make([]kgo.Record, n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.free[class]; len(f) > 0 {
		last := f[len(f)-1]
		f[len(f)-1] = nil
		p.free[class] = f[:len(f)-1]
		p.kept -= cap(last)
		return last
	}
	return make([]kgo.Record, poolFrom<<class)
}

// PutRecords implements kgo.PoolRecords.
func (p *recordPool) PutRecords(rs []kgo.Record) {
	class := bits.Len(uint(cap(rs))) - bits.Len(poolFrom)
	if class < 0 || class >= poolClasses || cap(rs) != poolFrom<<class {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+cap(rs) <= poolKeep {
		p.kept += cap(rs)
		p.free[class] = append(p.free[class], rs)
	}
}
