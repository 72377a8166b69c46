package app

import (
	"context"
	"database/sql"
	"errors"

	"ell/internal/connect"
	"ell/internal/embedded"
)

// Stations gets the station tables into a cluster until ctx ends, from the
// station database in the data folder.
func Stations(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0, roleStations)
	if err != nil {
		return err
	}
	db, err := embedded.OpenDatabase(ctx, o.Data, p.net)
	if err != nil {
		return err
	}
	s, err := p.newSource(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(p.withMetrics(ctx, s.Run), db.Close())
}

func (p *platform) newSource(db *sql.DB) (*connect.Poller, error) {
	s, err := connect.NewPoller(connect.PollerConfig{
		DB: db, Tables: connect.StationTables(p.Names.Stations(), p.Names.StationLines()),
		Kafka: p.kafka, OffsetsTopic: p.Names.ConnectOffsets(), TransactionalID: p.transactionalID("stations-source"),
		Logger: p.log("stations"),
	})
	if err != nil {
		return nil, err
	}
	return s, p.meterSource(s)
}
