package board

// rateMeter turns running counts into counts per minute of city time, over
// about the last minute of it.
type rateMeter struct {
	samples [64]rateSample
	n, head int // head is where the next sample goes
}

type rateSample struct{ at, entries, arrivals int64 }

const (
	rateSpan = 60_000           // ms of city time looked back
	rateStep = rateSpan/64 + 63 // ms between samples, so that the ring spans a minute
)

func (m *rateMeter) last() *rateSample { return &m.samples[(m.head+len(m.samples)-1)%len(m.samples)] }

// add notes the counts at a city time. A clock that goes back starts anew.
func (m *rateMeter) add(at, entries, arrivals int64) {
	if m.n > 0 {
		if l := m.last(); at < l.at {
			m.n, m.head = 0, 0
		} else if at-l.at < rateStep {
			return
		}
	}
	m.samples[m.head] = rateSample{at, entries, arrivals}
	m.head = (m.head + 1) % len(m.samples)
	m.n = min(m.n+1, len(m.samples))
}

// perMinute compares the newest sample with the newest one that is at least
// rateSpan older, or else with the oldest.
func (m *rateMeter) perMinute() Rate {
	if m.n < 2 {
		return Rate{}
	}
	now := *m.last()
	from := now
	for i := 2; i <= m.n; i++ {
		from = m.samples[(m.head+len(m.samples)-i)%len(m.samples)]
		if now.at-from.at >= rateSpan {
			break
		}
	}
	span := now.at - from.at
	if span <= 0 {
		return Rate{}
	}
	return Rate{
		EntriesMin:  max(0, (now.entries-from.entries)*rateSpan/span),
		ArrivalsMin: max(0, (now.arrivals-from.arrivals)*rateSpan/span),
	}
}
