package connect

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/kafka"
)

// AuditConfig says what an Audit compares.
type AuditConfig struct {
	DB     *sql.DB
	Tables []Table
	Kafka  kafka.Config
	Every  time.Duration // between looks; 0: 15 s
	// Flows says whether the connector runs; while it does not, all is missed
	// and nothing is mended.
	Flows  func() bool
	Logger *slog.Logger // nil: discard
}

// Audit holds the topics that a connector fills against the tables.
//
// A connector that lost its replication slot reads the tables anew, and so
// never learns of rows that were deleted meanwhile: they would stay on the
// topic for ever. What differs in two looks, the second an interval after the
// first, is no row on its way but one that was missed, and the Audit sends it
// itself: under a lock that keeps writers out, so that nothing that the
// connector has yet to send can be newer.
type Audit struct {
	cfg  AuditConfig
	lock string // a statement that keeps writers out of the table %s until the transaction ends
	log  *slog.Logger
}

const defaultAudit = 15 * time.Second

// NewAudit checks cfg and contacts nobody.
func NewAudit(cfg AuditConfig) (*Audit, error) {
	if cfg.DB == nil || len(cfg.Tables) == 0 || cfg.Flows == nil {
		return nil, errors.New("station audit: no database, no tables, or no Flows")
	}
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, err
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultAudit
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Audit{cfg: cfg, lock: `LOCK TABLE "%s" IN SHARE MODE`, log: log}, nil
}

// Run compares until ctx ends, and returns nil then. A database or cluster
// that is away is asked again at the next look; whoever watches the connector
// says so, thus Run only notes it.
func (a *Audit) Run(ctx context.Context) error {
	missed := make([]map[string][]byte, len(a.cfg.Tables))
	for kafka.Sleep(ctx, a.cfg.Every) == nil {
		for i, t := range a.cfg.Tables {
			if !a.cfg.Flows() {
				missed[i] = nil
				continue
			}
			now, err := a.look(ctx, t, missed[i])
			if err != nil && ctx.Err() == nil {
				a.log.Info("a topic could not be held against its table", "table", t.Name, "err", err)
			}
			missed[i] = now
		}
	}
	return nil
}

// look compares a table with its topic and mends what was missed before too.
// It returns what differs, by key.
func (a *Audit) look(ctx context.Context, t Table, before map[string][]byte) (map[string][]byte, error) {
	changes, err := a.compare(ctx, a.cfg.DB, t)
	if err != nil {
		return nil, err
	}
	now := make(map[string][]byte, len(changes))
	lasting := false
	for _, r := range changes {
		now[string(r.Key)] = r.Value
		lasting = lasting || same(before, r)
	}
	if !lasting {
		return now, nil
	}
	return nil, a.mend(ctx, t, before)
}

// same says whether the change was among those before.
func same(before map[string][]byte, r *kgo.Record) bool {
	value, ok := before[string(r.Key)]
	return ok && (value == nil) == (r.Value == nil) && bytes.Equal(value, r.Value)
}

// compare returns the records that would make the topic equal to the table.
func (a *Audit) compare(ctx context.Context, q querier, t Table) ([]*kgo.Record, error) {
	sent, err := readTopic(ctx, a.cfg.Kafka, t.Topic)
	if err != nil {
		return nil, err
	}
	now, err := t.read(ctx, q, defaultTimeout, func(t Table, key []byte, why error) {
		a.log.Warn("a row cannot be sent: mend it in the database", "table", t.Name, "key", string(key), "err", why)
	})
	if err != nil {
		return nil, err
	}
	return difference(t.Topic, now, sent), nil
}

// mend sends what differed before and still does, while nobody can write the table.
func (a *Audit) mend(ctx context.Context, t Table, before map[string][]byte) error {
	tx, err := a.cfg.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("lock table %s: %w", t.Name, err)
	}
	defer tx.Rollback() //nolint:errcheck // it holds a lock and no change
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(a.lock, t.Name)); err != nil {
		return fmt.Errorf("lock table %s: %w", t.Name, err)
	}
	changes, err := a.compare(ctx, tx, t)
	if err != nil {
		return err
	}
	var records []*kgo.Record
	rows := 0
	for _, r := range changes {
		if !same(before, r) {
			continue
		}
		records = append(records, r)
		if r.Value != nil {
			rows++
		}
	}
	if len(records) == 0 {
		return nil
	}
	cl, err := a.cfg.Kafka.New(kgo.RecordDeliveryTimeout(defaultTimeout))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("send what the connector missed of table %s: %w", t.Name, err)
	}
	a.log.Warn("the connector missed changes, which are sent now", "table", t.Name, "rows", rows, "tombstones", len(records)-rows)
	return nil
}
