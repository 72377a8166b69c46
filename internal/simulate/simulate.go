// Package simulate drives the city by the wall clock and puts its events on
// the log, each exactly once: a transaction holds a batch of events together
// with the checkpoint that says how far the city has come. After a crash the
// city is rebuilt from the last snapshot on the log, goes on in silence to the
// checkpoint, and emits from there, so that the log equals that of an
// undisturbed run.
//
// It does not decide what happens in the city (package sim does), and it does
// not send weather to Kafka: readings are handed to a device that knows HTTP only.
package simulate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/sim"
)

const (
	// tick is the time between two transactions: short enough that a viewer
	// does not see events in lumps, long enough that a transaction is worth it.
	// Where a transaction takes long, on a cluster at its limit, the city then
	// rests for twice as long, at most two ticks, so that it does not crowd out
	// those who process its events.
	tick = 100 * time.Millisecond
	// tickEvents is how many events a tick may hold before the next one comes
	// sooner, but never within tickLeast: what is in one transaction is seen
	// when all of it is, and stages take it up as one piece.
	tickEvents = 1000
	tickLeast  = 25 * time.Millisecond
	// quiet is the longest time without a checkpoint while nothing happens.
	quiet = time.Second
	// snapshotEvery bounds how much city a restart goes through in silence.
	snapshotEvery = time.Hour
	// slack is how much wall time the city catches up on at once when a
	// transaction took long. Beyond it the city falls behind: it slows down, and does not jump.
	slack = 500 * time.Millisecond
	// endTimeout bounds one commit. It is longer than a broker's fail-over.
	endTimeout = 20 * time.Second
)

// Device takes weather readings in order of their time.
type Device interface {
	Offer(event.Weather)
	// Accepted is the event time in ms of the last reading that arrived, 0 if none has.
	Accepted() int64
}

// Config says what to simulate and where to put it.
type Config struct {
	Network  *cta.Network
	Names    event.Names
	Encoder  *event.Encoder
	Resolver event.Resolver
	Kafka    kafka.Config
	// TransactionalID is this simulator's own; a second one with the same id ends the first.
	TransactionalID string
	// Sole says that no other process can hold TransactionalID. Being fenced then
	// means that our own transaction timed out, as after a laptop's sleep, and is no end.
	Sole bool
	// City describes a new city. Where the log holds one already, that goes on.
	City sim.Options
	// Speed is city seconds a wall second for a new city; SpeedSet lets it win over the log's.
	Speed    float64
	SpeedSet bool
	Device   Device
	// WeatherAfter is the event time in ms of the last reading known to be on the log.
	WeatherAfter int64
	Log          *slog.Logger
}

// Stats is a reading of the simulator's meters.
type Stats struct {
	Clock        event.Clock
	Events       int64 // arrivals and entries put on the log since the start
	Transactions int64
	Restarts     int64   // sessions ended by an error that passed
	Behind       float64 // wall seconds by which the city fell behind its speed since the start
}

// Simulator runs one city. Create it with New; Run may be called once.
type Simulator struct {
	cfg     Config
	batch   batch
	weather *sim.Weather
	lines   []int32 // partitions of arrivals by line to tell the time, where the city writes them itself

	clock                          atomic.Pointer[event.Clock]
	events, transactions, restarts atomic.Int64
	behind                         atomic.Uint64 // float64 bits
	ready                          chan struct{}
}

// New checks cfg. It contacts nobody.
func New(cfg Config) (*Simulator, error) {
	if !(cfg.Speed >= event.MinSpeed && cfg.Speed <= event.MaxSpeed) {
		return nil, fmt.Errorf("speed %v is not from %g to %d", cfg.Speed, event.MinSpeed, event.MaxSpeed)
	}
	s := &Simulator{cfg: cfg, ready: make(chan struct{})}
	if cfg.Names.Layout == event.Shared {
		ids := make([]string, len(cfg.Network.Lines))
		for i, l := range cfg.Network.Lines {
			ids[i] = l.ID
		}
		s.lines = event.LinePartitions(ids)
	}
	s.batch = batch{
		enc:        cfg.Encoder,
		names:      cfg.Names,
		arrivals:   map[int32]string{},
		turnstiles: map[int32]string{},
		headers:    map[string][]kgo.RecordHeader{},
	}
	for _, st := range cfg.Network.Stations {
		s.batch.arrivals[st.ID] = cfg.Names.Arrivals(st.ID, st.Slug)
		s.batch.turnstiles[st.ID] = cfg.Names.Turnstiles(st.ID, st.Slug)
	}
	return s, nil
}

// Ready is closed once the city stands where the log ends.
func (s *Simulator) Ready() <-chan struct{} { return s.ready }

// Stats reads the meters; it may be called at any time.
func (s *Simulator) Stats() Stats {
	st := Stats{Events: s.events.Load(), Transactions: s.transactions.Load(), Restarts: s.restarts.Load(),
		Behind: math.Float64frombits(s.behind.Load())}
	if c := s.clock.Load(); c != nil {
		st.Clock = *c
	}
	return st
}

// Run simulates until ctx ends (nil) or something fails that waiting does not
// mend. After a passing error it starts again from what the log says.
func (s *Simulator) Run(ctx context.Context) error {
	wait := 100 * time.Millisecond
	for {
		begun := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fatal(err) || kafka.Fenced(err) && s.replaced(ctx) {
			return fmt.Errorf("simulate: %w", err)
		}
		if time.Since(begun) > time.Minute {
			wait = 100 * time.Millisecond
		}
		s.restarts.Add(1)
		s.cfg.Log.Warn("simulator starts again from the log", "err", err, "in", wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// fatal says whether err ends the simulator. What is wrong with the producer
// alone does not: a session begins with a new one, from what the log says.
func fatal(err error) bool {
	if kafka.Fenced(err) {
		return false
	}
	return !kafka.ProducerLost(err) && kafka.Classify(err) == kafka.Fatal
}

// replaced says whether another simulator has taken this one's place. Being
// fenced alone does not say so: a transaction that timed out and an end of one
// that was repeated at a new coordinator look the same. But whoever lives puts a
// checkpoint on the log at least once in quiet, and this one does not while it looks.
//
// If another comes later than that, this one takes its place back, and the
// other ends for the same reason: one of them goes on.
func (s *Simulator) replaced(ctx context.Context) bool {
	if s.cfg.Sole {
		return false
	}
	cl, err := s.cfg.Kafka.New(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.cfg.Names.Clock(): {0: kgo.NewOffset().AtEnd()}}))
	if err != nil {
		return true // a session could not begin either
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*quiet)
	defer cancel()
	for ctx.Err() == nil {
		if cl.PollFetches(ctx).NumRecords() > 0 {
			return true
		}
	}
	return false
}

// session is one life of a transactional producer, from the fence to an error.
func (s *Simulator) session(ctx context.Context) error {
	cl, err := s.cfg.Kafka.New(
		kgo.TransactionalID(s.cfg.TransactionalID),
		kgo.TransactionTimeout(30*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(1<<20),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	// The fence comes before the look at the log: from here on no earlier
	// simulator of this id can add to it.
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("get a producer id for %s: %w", s.cfg.TransactionalID, err)
	}
	l, err := s.resume(ctx, cl)
	if err != nil {
		return err
	}
	commands, err := s.follow(ctx, l.commands)
	if err != nil {
		return err
	}
	defer commands.close()
	if err := s.commit(ctx, l, l.fresh); err != nil { // the speed may have changed; a new city shows its clock at once
		return err
	}
	s.cfg.SpeedSet = false // it is on the log; what is commanded from now on outlives a session
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	return s.live(ctx, l, commands.c)
}

// life is a city that stands where the log ends, and what a session knows of it.
type life struct {
	cl       *kgo.Client
	city     *sim.City
	clock    event.Clock
	fresh    bool
	commands int64 // offset of the next command to obey

	anchorCity int64     // the city's time ...
	anchorWall time.Time // ... at this wall time, from which it runs at clock.Speed
	committed  time.Time
	snapshot   int64 // city time of the last snapshot
	told       int64 // city time that the lines were told last, in this session
}

var tickHeaders = []kgo.RecordHeader{{Key: event.HeaderTick}}

// due is the city time that belongs to wall time now.
func (l *life) due(now time.Time) int64 {
	if l.clock.Paused {
		return l.anchorCity
	}
	return l.anchorCity + int64(now.Sub(l.anchorWall).Seconds()*l.clock.Speed*1000)
}

func (l *life) anchor(now time.Time) { l.anchorCity, l.anchorWall = l.clock.CityTime, now }

func (s *Simulator) live(ctx context.Context, l *life, commands <-chan commandAt) error {
	next := time.NewTimer(tick)
	defer next.Stop()
	for {
		changed := false
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-commands:
			if !ok {
				return errors.New("the commands' reader stopped")
			}
			s.obey(l, c)
			changed = true
		case <-next.C:
		}
		now := time.Now()
		next.Reset(tick)
		until := s.reach(l, now)
		if until > l.city.Now() {
			l.city.Advance(until, &s.batch)
		}
		if !changed && s.batch.empty() && now.Sub(l.committed) < quiet {
			continue
		}
		l.clock.CityTime = max(until, l.clock.CityTime)
		rest := restFor(len(s.batch.records), now.Sub(l.committed))
		if err := s.commit(ctx, l, changed); err != nil {
			return err
		}
		took := time.Since(now)
		next.Reset(max(rest-took, min(2*tick, 2*took)))
		s.offerWeather(l)
	}
}

// reach is the city time to go to now: what is due, but no more than slack ahead.
func (s *Simulator) reach(l *life, now time.Time) int64 {
	until := l.due(now)
	if most := l.clock.CityTime + int64(slack.Seconds()*l.clock.Speed*1000); until > most {
		late := float64(until-most) / 1000 / l.clock.Speed
		s.behind.Store(math.Float64bits(math.Float64frombits(s.behind.Load()) + late))
		until = most
		l.anchorCity, l.anchorWall = most, now
	}
	return until
}

// restFor is the time from a transaction to the next, when the last interval
// brought so many events: a tick, or less where they come fast.
func restFor(events int, interval time.Duration) time.Duration {
	if events == 0 {
		return tick
	}
	return min(tick, max(tickLeast, tickEvents*interval/time.Duration(events)))
}

// commit puts the batch and the checkpoint on the log in one transaction.
func (s *Simulator) commit(ctx context.Context, l *life, snapshot bool) error {
	now := time.Now()
	l.clock.WallTime = now.UnixMilli()
	if a := s.cfg.Device.Accepted(); a > l.clock.WeatherSent {
		l.clock.WeatherSent = a
	}
	if err := l.cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin the city's transaction: %w", err)
	}
	var failed atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	records := s.batch.cut()
	for i := range records {
		l.cl.Produce(ctx, &records[i], promise)
	}
	key, value := s.cfg.Encoder.AppendClockKey(nil), s.cfg.Encoder.AppendClock(nil, &l.clock)
	l.cl.Produce(ctx, &kgo.Record{Topic: s.cfg.Names.Clock(), Key: key, Value: value}, promise)
	if len(s.lines) > 0 && event.TickDue(l.told, &l.clock) {
		l.told = l.clock.CityTime
		for _, p := range s.lines { // after the batch: a line is told the time when it has the arrivals up to then
			l.cl.Produce(ctx, &kgo.Record{Topic: s.cfg.Names.ByLine(), Partition: p, Key: key, Value: value, Headers: tickHeaders}, promise)
		}
	}
	// A command may change the city itself, and obeying it must not be done
	// twice: its effect is kept as a snapshot, and its place in the topic beside it.
	if snapshot || l.clock.CityTime-l.snapshot >= snapshotEvery.Milliseconds() {
		value := binary.BigEndian.AppendUint64(nil, uint64(l.commands)) //nolint:gosec // an offset is never negative
		value = append(value, l.city.Snapshot()...)
		l.cl.Produce(ctx, &kgo.Record{Topic: s.cfg.Names.Changelog(event.StageCity), Key: []byte(snapshotKey), Value: value}, promise)
		l.snapshot = l.clock.CityTime
	}
	// What has begun is brought to its end even when ctx ends meanwhile:
	// a commit cut short has no known outcome.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := l.cl.Flush(end); err != nil {
		return fmt.Errorf("write the city's events: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("write the city's events: %w", *err)
	}
	if err := l.cl.EndTransaction(end, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit the city's events: %w", err)
	}
	s.events.Add(int64(len(records)))
	s.transactions.Add(1)
	s.batch.reset()
	l.committed = now
	c := l.clock
	s.clock.Store(&c)
	return nil
}

// offerWeather hands the device what readings the committed time has brought.
func (s *Simulator) offerWeather(l *life) {
	for {
		w := s.weather.Next(s.cfg.WeatherAfter)
		if w.Timestamp > l.clock.CityTime {
			return
		}
		s.cfg.Device.Offer(w)
		s.cfg.WeatherAfter = w.Timestamp
	}
}
