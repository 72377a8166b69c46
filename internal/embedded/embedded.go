// Package embedded is what the one-process mode runs on in place of real
// servers: a Kafka broker, a schema registry and a station database, all on
// one data folder and the loopback interface, speaking the same protocols as
// the real ones, so that any client can be pointed at them.
//
// It survives a kill at any moment with every transaction either whole or
// absent (recovery.go says how). It does not survive the machine losing power
// in the same way: as with Kafka's own defaults, the last moments may then be
// missing, and a warning says so. It is one broker: no replication, no
// authentication, and nothing but loopback is meant to reach it.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"ell/internal/cta"
)

// Options says where the stack lives. The zero value of every field but
// DataDir and Network works.
type Options struct {
	DataDir      string       // created if it is not there
	KafkaAddr    string       // "": 127.0.0.1:9092; port 0: any
	RegistryAddr string       // "": 127.0.0.1:8081; port 0: any
	Hosts        []string     // further host names that requests to the registry may be for
	Network      *cta.Network // fills the station database the first time
	// MinFree is the space on the data folder's disk below which the broker
	// takes no records; 0 means 64 MiB, negative never.
	MinFree int64
	// HoldRetention, if set, is asked before retention removes old records; true
	// keeps them for now (a reader is behind). It is not asked once the log is
	// HoldLimit bytes large (0: 1 GiB).
	HoldRetention func() bool
	HoldLimit     int64
	Logger        *slog.Logger // nil: discard

	upkeep time.Duration // between upkeeps; 0: defaultUpkeep. Tests hurry.
	growth int64         // bytes that make a compaction pay; 0: compactGrowth
}

// Stack is the running whole.
type Stack struct {
	folder   *folder
	broker   *broker
	registry *registry
	db       *sql.DB
}

const (
	defaultKafkaAddr    = "127.0.0.1:9092"
	defaultRegistryAddr = "127.0.0.1:8081"
	defaultMinFree      = 64 << 20
	defaultHoldLimit    = 1 << 30
	closeBroker         = 10 * time.Second
	closeRegistry       = time.Second
)

// Open starts everything on o.DataDir, or nothing: on an error what was
// started is stopped again. Errors name what to do. A damaged folder gives a
// *DamageError.
func Open(ctx context.Context, o Options) (_ *Stack, err error) {
	if o.Network == nil {
		return nil, errors.New("embedded: no network")
	}
	if o.KafkaAddr == "" {
		o.KafkaAddr = defaultKafkaAddr
	}
	if o.RegistryAddr == "" {
		o.RegistryAddr = defaultRegistryAddr
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.HoldLimit == 0 {
		o.HoldLimit = defaultHoldLimit
	}
	if o.upkeep == 0 {
		o.upkeep = defaultUpkeep
	}
	if o.growth == 0 {
		o.growth = compactGrowth
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Stack{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.folder, err = openFolder(o.DataDir); err != nil {
		return nil, err
	}
	clean := s.folder.last.Clean || s.folder.last.Boot == 0
	if s.folder.machineWentDown() {
		log.Warn("the machine stopped while ell ran: the last seconds before that may be missing from the log", "folder", s.folder.dir)
	}
	if s.db, err = openDatabase(ctx, filepath.Join(s.folder.dir, databaseFile), o.Network); err != nil {
		return nil, err
	}
	if s.registry, err = openRegistry(filepath.Join(s.folder.dir, "registry.journal"), o.RegistryAddr, o.Hosts, clean, log); err != nil {
		return nil, err
	}
	if s.broker, err = openBroker(filepath.Join(s.folder.dir, "kafka"), o, clean, log); err != nil {
		return nil, err
	}
	if r := s.broker.report; !clean {
		log.Info("recovered the log of a process that was killed", "partitions", r.Partitions, "bytes", r.Bytes,
			"torn", r.Torn, "aborted", r.Aborted, "committed", r.Committed)
	}
	return s, nil
}

// KafkaAddr is where the broker listens, host:port.
func (s *Stack) KafkaAddr() string { return s.broker.addr }

// RegistryURL is where the registry listens.
func (s *Stack) RegistryURL() string { return s.registry.url }

// Boot numbers the starts on this data folder, from 1. In a transactional id
// it keeps two boots from sharing a producer id.
func (s *Stack) Boot() uint64 { return s.folder.state.Boot }

// Dir is the data folder.
func (s *Stack) Dir() string { return s.folder.dir }

// Space returns what is free on the data folder's file system and how large
// that is, in bytes; ok is false where the system does not say.
func (s *Stack) Space() (free, size uint64, ok bool) { return space(s.folder.dir) }

// DB is the station database.
func (s *Stack) DB() *sql.DB { return s.db }

// Recovered is what was found and mended at the start.
func (s *Stack) Recovered() Recovered { return s.broker.report }

// Watch returns nil when ctx ends, or the error of a part that cannot go on:
// then the process should stop, and loudly.
func (s *Stack) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.broker.failed:
		return err
	case err := <-s.registry.failed:
		return err
	}
}

// Close stops in the reverse order, within about ten seconds. Whoever uses the
// stack should have stopped before: transactions that are still open are aborted.
func (s *Stack) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	clean := s.folder != nil && s.folder.last.Clean // if the broker never ran, the log is as it was
	if s.broker != nil {
		ok, err := s.broker.close()
		clean = ok
		if err != nil {
			errs = append(errs, fmt.Errorf("close the embedded Kafka broker: %w", err))
		}
		s.broker = nil
	}
	if s.registry != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeRegistry)
		if err := s.registry.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close the schema registry: %w", err))
		}
		cancel()
		s.registry = nil
	}
	if s.db != nil {
		if err := s.db.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the station database: %w", err))
		}
		s.db = nil
	}
	if s.folder != nil {
		if err := s.folder.close(clean); err != nil {
			errs = append(errs, fmt.Errorf("close the data folder: %w", err))
		}
		s.folder = nil
	}
	return errors.Join(errs...)
}
