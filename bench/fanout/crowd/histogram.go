package crowd

import (
	"math/bits"
	"time"
)

// Histogram counts times, each within 1.6 % of its value.
type Histogram struct {
	buckets [64 * 64]uint64
	n       uint64
}

// fine is the number of buckets to a power of two, as bits.
const fine = 6

func bucket(us uint64) int {
	if us < 1<<fine {
		return int(us) //nolint:gosec // below 64
	}
	shift := bits.Len64(us) - fine - 1
	return shift<<fine + int(us>>shift) //nolint:gosec // below 128
}

func lowest(b int) uint64 {
	if b < 1<<(fine+1) {
		return uint64(b) //nolint:gosec // an index
	}
	shift := b>>fine - 1
	return uint64(b-shift<<fine) << shift //nolint:gosec // an index
}

// Add counts a time in µs; less than none is none.
func (h *Histogram) Add(us int64) {
	h.buckets[bucket(uint64(max(us, 0)))]++ //nolint:gosec // not negative
	h.n++
}

// Count is the number of times counted.
func (h *Histogram) Count() uint64 { return h.n }

// Quantile returns the time that the part q of all do not exceed; 0 without any.
func (h *Histogram) Quantile(q float64) time.Duration {
	want := uint64(q*float64(h.n) + 0.5)
	for b, n := range h.buckets {
		if n == 0 {
			continue
		}
		if n >= want {
			return time.Duration(lowest(b)) * time.Microsecond //nolint:gosec // µs of a lifetime
		}
		want -= n
	}
	return 0
}

// Reset forgets all.
func (h *Histogram) Reset() { *h = Histogram{} }
