package sim

import (
	"math"
	"math/bits"
)

// rng is a SplitMix64 stream: eight bytes of state, which a snapshot keeps.
// Each train, each station's riders and the incidents have a stream of their
// own, so that a disturbance in one place leaves the chance elsewhere as it was.
type rng uint64

// What a stream is for.
const (
	streamTrain uint64 = iota + 1
	streamRiders
	streamIncidents
	streamTemperature
	streamSky
	streamWind
)

const golden = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// newRNG returns stream n of a purpose for a seed.
func newRNG(seed int64, purpose, n uint64) rng {
	return rng(mix(mix(mix(uint64(seed)+golden)+purpose*golden) + n*golden))
}

func (r *rng) next() uint64 {
	*r += golden
	return mix(uint64(*r))
}

// below returns a number from 0 to n-1; n must be positive.
func (r *rng) below(n int64) int64 {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

// around returns a number within spread of mid, the nearer the likelier.
func (r *rng) around(mid, spread int64) int64 {
	return mid - spread + r.below(spread+1) + r.below(spread+1)
}

// Exponential variates come from a table of logarithms in fixed point: as fast
// as the library's logarithm, and the same on every processor.
const (
	logBits = 10 // of the mantissa that index the table
	logUnit = 1 << 32
)

type logTable [1<<logBits + 1]uint64

// newLogTable tabulates -ln(x) for x from 1/2 to 1.
func newLogTable() *logTable {
	var t logTable
	for i := range t {
		x := (1 + float64(i)/(1<<logBits)) / 2
		t[i] = uint64(math.Round(-math.Log(x) * logUnit))
	}
	return &t
}

// exponential returns a variate of mean 1, in units of 1/logUnit.
func (t *logTable) exponential(r *rng) uint64 {
	u := r.next() | 1
	zeros := bits.LeadingZeros64(u)
	m := u << zeros << 1 // the mantissa without its leading one
	const fracBits = 20
	i := m >> (64 - logBits)
	frac := m << logBits >> (64 - fracBits)
	ln2 := t[0]
	return uint64(zeros)*ln2 + t[i] - (t[i]-t[i+1])*frac>>fracBits
}

// exponential returns a waiting time of the given mean, in ms.
func (w *world) exponential(r *rng, mean int64) int64 {
	return int64(float64(w.log.exponential(r)) * (float64(mean) / logUnit))
}
