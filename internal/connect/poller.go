package connect

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/kafka"
)

// PollerConfig says what a Poller reads and writes.
type PollerConfig struct {
	DB     *sql.DB
	Tables []Table
	Kafka  kafka.Config
	// TransactionalID is this poller's own. Whoever starts with the same one
	// later takes its place; the earlier one stops with an error.
	TransactionalID string
	// Sole says that no other process can hold TransactionalID: being fenced then
	// means that a transaction took too long, as over a laptop's sleep, and ends nothing.
	Sole bool
	// OffsetsTopic gets, with the rows and in the same transaction, how far
	// each table was read (see offset).
	OffsetsTopic string
	// Version, if set, is a query for something that changes with every write to
	// the database, so that an idle poll need not read: SQLite's data_version,
	// PostgreSQL's snapshot. It is asked on one connection.
	Version string
	Every   time.Duration // between polls; 0: 500 ms
	Timeout time.Duration // of one look at the database; 0: 10 s
	Logger  *slog.Logger  // nil: discard
}

// Poller keeps Kafka topics equal to database tables.
//
// It reads the whole table and sends what differs from what the topic holds:
// a new or changed row as the row, a deleted one as a tombstone. The tables
// are a few hundred rows, so this costs less than a millisecond; and unlike a
// query for larger ids (Connect's incrementing mode, which the original used)
// it sees updates and deletions, as Debezium does, and rows whose id is
// smaller than one seen before. Where the database says cheaply that nothing
// was written (Version) an idle poll does not even read.
//
// What was sent is known from the topic itself, read once at the start, so
// there is nothing that could disagree with it. Rows and offsets are one
// transaction: after a kill at any moment, each change is on the topic once.
type Poller struct {
	cfg PollerConfig
	log *slog.Logger

	mu    sync.Mutex // guards stats
	stats Stats
}

// Stats counts what a Poller has done since it started.
type Stats struct {
	Polls        int64 // looks at the database
	Reads        int64 // of whole tables
	Rows         int64 // sent: new or changed
	Tombstones   int64 // sent: deleted
	Refused      int64 // rows that cannot be sent (too large, no key), each time they are met
	Transactions int64
	Failures     int64 // of polls, that will be repeated
	LastPoll     time.Time
	LastError    string // of the last poll; "" if it went well
}

const (
	defaultEvery   = 500 * time.Millisecond
	defaultTimeout = 10 * time.Second
	// readAnyway is when a poll reads although the version is the same.
	readAnyway = 30 * time.Second
	// maxRow bounds a row's value: a row beyond it is no station.
	maxRow = 64 << 10
	// maxRows bounds a table: this poller is for small ones.
	maxRows = 100_000
	// batchRows is how many rows one transaction holds at most, as
	// batch.max.rows does for Connect.
	batchRows = 500
	endWait   = 10 * time.Second
)

// NewPoller checks cfg and contacts nobody.
func NewPoller(cfg PollerConfig) (*Poller, error) {
	switch {
	case cfg.DB == nil:
		return nil, errors.New("station source: no database")
	case len(cfg.Tables) == 0:
		return nil, errors.New("station source: no tables")
	case cfg.TransactionalID == "":
		return nil, errors.New("station source: no transactional id")
	case cfg.OffsetsTopic == "":
		return nil, errors.New("station source: no offsets topic")
	}
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, err
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Poller{cfg: cfg, log: log}, nil
}

// Stats returns the counts so far.
func (p *Poller) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

func (p *Poller) count(fn func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn(&p.stats)
}

// Run polls until ctx ends (then it returns nil) or an error comes that
// repetition does not mend, such as another poller taking this one's place. A
// database or broker that is away is waited for.
func (p *Poller) Run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		before := p.Stats().Reads
		err := p.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errDatabase): // always waited for
		case kafka.ProducerLost(err) && !kafka.Fenced(err), p.cfg.Sole && kafka.Fenced(err): // the next session has a producer of its own
		case kafka.Classify(err) != kafka.Transient:
			return fmt.Errorf("station source: %w", err)
		}
		if p.Stats().Reads > before+1 {
			attempt = 0 // it worked for a while
		}
		p.log.Warn("station source will try again", "err", err)
		p.count(func(s *Stats) { s.Failures++; s.LastError = err.Error() })
		if kafka.Sleep(ctx, kafka.Backoff(attempt)) != nil {
			return nil
		}
	}
}

// errDatabase marks errors of the database.
var errDatabase = errors.New("database")

// session is one stretch with one Kafka client and one database connection.
// Any error ends it: the next one asks the topics anew what they hold, so a
// commit whose outcome is unknown needs no guess.
func (p *Poller) session(ctx context.Context) error {
	cl, err := p.cfg.Kafka.New(
		kgo.TransactionalID(p.cfg.TransactionalID),
		kgo.TransactionTimeout(30*time.Second),
		kgo.RecordDeliveryTimeout(20*time.Second),
		kgo.ManualFlushing(),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	// Fence first: from here on nobody else with this id adds to the topics,
	// so what is read from them stays true.
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("take over from earlier pollers: %w", err)
	}
	sent := make([]contents, len(p.cfg.Tables))
	for i, t := range p.cfg.Tables {
		if sent[i], err = readTopic(ctx, p.cfg.Kafka, t.Topic); err != nil {
			return err
		}
	}
	watch, err := p.watch(ctx)
	if err != nil {
		return err
	}
	defer watch.close()
	tick := time.NewTicker(p.cfg.Every)
	defer tick.Stop()
	for {
		if err := p.poll(ctx, cl, watch, sent); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// poll looks at the database once and sends what changed.
func (p *Poller) poll(ctx context.Context, cl *kgo.Client, watch *watcher, sent []contents) error {
	changed, err := watch.changed(ctx)
	p.count(func(s *Stats) { s.Polls++; s.LastPoll = time.Now() })
	if err != nil {
		return err
	}
	if !changed {
		return nil
	}
	for i, t := range p.cfg.Tables {
		rows, err := t.read(ctx, watch.conn, p.cfg.Timeout, p.refuse)
		if err != nil {
			return err
		}
		if err := p.send(ctx, cl, t, rows, sent[i]); err != nil {
			return fmt.Errorf("send table %s: %w", t.Name, err)
		}
	}
	watch.seen()
	p.count(func(s *Stats) { s.Reads++; s.LastError = "" })
	return nil
}

func (p *Poller) refuse(t Table, key []byte, err error) {
	p.count(func(s *Stats) { s.Refused++ })
	if len(key) > 200 {
		key = key[:200]
	}
	p.log.Warn("a row is not sent: mend it in the database", "table", t.Name, "key", string(key), "err", err)
}
