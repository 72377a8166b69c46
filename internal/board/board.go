// Package board is the read model of the website: it folds the processed
// topics into the state of the city and cuts that state into one immutable
// snapshot and numbered deltas, in the form of docs/stream.md. It also keeps
// the bounded history that the station, line and train pages show.
//
// It deliberately does no I/O, reads no clock (the caller says what time it
// is) and knows neither viewers nor connections: that is package hub.
package board

import (
	"fmt"
	"sync"
	"sync/atomic"

	"ell/internal/cta"
	"ell/internal/event"
)

// Bounds of what the board keeps, so that hostile or endless input cannot
// make it grow.
const (
	maxTrains   = 50_000
	maxStations = 200_000 // rows of the stations table, and stations with totals
	maxLines    = 1_024
	maxCharted  = 4_096 // stations with a day of windows
	maxText     = 200   // bytes of a name or reason that are kept
)

// slowEvery is the least time in milliseconds between two frames that carry
// totals, line details and rates.
const slowEvery = 1000

// Decoder decodes the records of the topics the board reads.
// event.Decoder is one; it need not be safe for concurrent use.
type Decoder interface {
	Train(r *event.Record, t *event.Train) error
	Line(r *event.Record, l *event.LineStatus) error
	Window(r *event.Record, w *event.Window) error
	Weather(r *event.Record, w *event.Weather) error
	Clock(r *event.Record, c *event.Clock) error
}

// Options say what a board folds.
type Options struct {
	Network *cta.Network
	Decoder Decoder
	Names   event.Names
	// Control is told to viewers: whether the clock may be set from the page.
	Control bool
	// Shown, if set, is told the age of each arrival that a frame shows for the
	// first time: the wall time in ms since the sensor's record was appended.
	Shown func(age int64)
}

// Board is the state of the city. Its methods are safe for concurrent use;
// records are applied by one caller at a time.
type Board struct {
	net      *cta.Network
	dec      Decoder
	topics   topics
	control  bool
	shown    func(age int64)
	patterns map[string]int // pattern id -> index in Network.Patterns
	lineRank map[string]int // line id -> index in Network.Lines

	published atomic.Pointer[Snapshot]

	mu    sync.RWMutex
	state state
	hist  history
	stats Stats
	buf   []byte // of the last frame
}

// topics are the names of the topics the board reads.
type topics struct{ trains, lines, summary, windows, stations, weather, clock string }

// Stats counts what a board did since it was made.
type Stats struct {
	Records uint64 // records applied
	Poison  uint64 // records that could not be read and were skipped
	Ignored uint64 // records of topics the board does not know
	Dropped uint64 // records refused because a bound was reached
	Frames  uint64 // frames cut
}

// New makes an empty board.
func New(o Options) (*Board, error) {
	if o.Network == nil || o.Decoder == nil {
		return nil, fmt.Errorf("make board: network and decoder are required")
	}
	if o.Shown == nil {
		o.Shown = func(int64) {}
	}
	n := o.Names
	b := &Board{
		net: o.Network, dec: o.Decoder, control: o.Control, shown: o.Shown,
		topics: topics{
			trains: n.Trains(), lines: n.Lines(), summary: n.Summary(), windows: n.Windows(),
			stations: n.StationsTable(), weather: n.Weather(), clock: n.Clock(),
		},
		patterns: make(map[string]int, len(o.Network.Patterns)),
		lineRank: make(map[string]int, len(o.Network.Lines)),
	}
	for i, p := range o.Network.Patterns {
		b.patterns[p.ID] = i
	}
	for i, l := range o.Network.Lines {
		b.lineRank[l.ID] = i
	}
	b.state.init()
	b.hist.init()
	b.published.Store(&Snapshot{Control: o.Control})
	return b, nil
}

// Topics returns the names of the topics the board has to be fed with, all
// partitions, from the beginning.
func (b *Board) Topics() []string {
	t := b.topics
	return []string{t.stations, t.lines, t.trains, t.summary, t.windows, t.weather, t.clock}
}

// Snapshot returns the newest published state. It never changes and may be
// kept; before the first frame it is empty and its Seq is 0.
func (b *Board) Snapshot() *Snapshot { return b.published.Load() }

// Stats returns the counters.
func (b *Board) Stats() Stats {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.stats
}

// Apply folds one record, whose bytes it does not keep. A record that cannot be read is counted, changes
// nothing, and its error wraps event.ErrPoison; the caller goes on.
func (b *Board) Apply(r *event.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.apply(r)
}

// ApplyAll folds a batch and returns the first error of a record in it;
// the other records are applied all the same.
func (b *Board) ApplyAll(batch []event.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first error
	for i := range batch {
		if err := b.apply(&batch[i]); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (b *Board) apply(r *event.Record) error {
	var err error
	switch r.Topic {
	case b.topics.trains:
		err = b.applyTrain(r)
	case b.topics.lines:
		err = b.applyLine(r)
	case b.topics.summary:
		err = b.applySummary(r)
	case b.topics.windows:
		err = b.applyWindow(r)
	case b.topics.stations:
		err = b.applyStation(r)
	case b.topics.weather:
		err = b.applyWeather(r)
	case b.topics.clock:
		err = b.applyClock(r)
	default:
		b.stats.Ignored++
		return nil
	}
	if err != nil {
		b.stats.Poison++
		return fmt.Errorf("board: %s-%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	b.stats.Records++
	return nil
}
