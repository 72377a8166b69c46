package app

import (
	"context"
	"database/sql"
	"errors"

	"ell/internal/connect"
	"ell/internal/embedded"
)

// Stations gets the station tables into a cluster until ctx ends.
func Stations(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0, roleStations)
	if err != nil {
		return err
	}
	run, err := p.newStations(ctx, nil)
	if err != nil {
		return err
	}
	return p.withMetrics(ctx, run)
}

// newStations makes the station source: PostgreSQL where the options name it,
// else the station database of the one-process mode, whose stack may be in this
// process.
func (p *platform) newStations(ctx context.Context, stack *embedded.Stack) (run func(context.Context) error, err error) {
	if p.Postgres.URL != "" {
		return p.fromPostgres()
	}
	if stack != nil {
		s, err := p.newPoller(stack.DB(), sqliteVersion)
		if err != nil {
			return nil, err
		}
		return s.Run, nil
	}
	db, err := embedded.OpenDatabase(ctx, p.Data, p.net)
	if err != nil {
		return nil, err
	}
	s, err := p.newPoller(db, sqliteVersion)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func(ctx context.Context) error { return errors.Join(s.Run(ctx), db.Close()) }, nil
}

func (p *platform) newPoller(db *sql.DB, version string) (*connect.Poller, error) {
	s, err := connect.NewPoller(connect.PollerConfig{
		DB: db, Tables: connect.StationTables(p.Names.Stations(), p.Names.StationLines()), Version: version,
		Kafka: p.kafka, OffsetsTopic: p.Names.ConnectOffsets(), TransactionalID: p.transactionalID("stations-source"), Sole: p.boot > 0,
		Logger: p.log("stations"),
	})
	if err != nil {
		return nil, err
	}
	return s, p.meterSource(s)
}
