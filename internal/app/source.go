package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"ell/internal/connect"
	"ell/internal/postgres"
)

// What changes with every write, as the databases tell it.
const (
	sqliteVersion   = `PRAGMA data_version`
	postgresVersion = `SELECT pg_current_snapshot()::text`
)

// PlainPassword is the ConnectorPassword that puts the password itself into the
// connector's configuration, where everybody who reaches Connect can read it.
const PlainPassword = "plain"

// fromPostgres gets the station tables out of PostgreSQL: by a connector of
// Kafka Connect where one is named, by polling otherwise. The schema comes first.
func (p *platform) fromPostgres() (run func(context.Context) error, err error) {
	db, err := p.Postgres.Open()
	if err != nil {
		return nil, err
	}
	var feed func(context.Context) error
	if p.Connect.URL == "" {
		var s *connect.Poller
		if s, err = p.newPoller(db, postgresVersion); err == nil {
			feed = s.Run
		}
	} else {
		feed, err = p.byConnector(db)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func(ctx context.Context) error {
		err := p.migrate(ctx, db)
		if err == nil {
			err = feed(ctx)
		} else if ctx.Err() != nil {
			err = nil
		}
		return errors.Join(err, db.Close())
	}, nil
}

// migrate waits for PostgreSQL and brings its schema up to date.
func (p *platform) migrate(ctx context.Context, db *sql.DB) error {
	return p.await(ctx, "PostgreSQL at "+p.Postgres.URL, postgres.Transient, func(ctx context.Context) error {
		steps, err := postgres.Migrate(ctx, db, p.net)
		if len(steps) > 0 {
			p.log("stations").Info("station database migrated", "steps", steps)
		}
		return err
	})
}

// byConnector has Kafka Connect read the database, watches over its connector,
// and holds the topics against the tables.
func (p *platform) byConnector(db *sql.DB) (run func(context.Context) error, err error) {
	source, err := p.debezium()
	if err != nil {
		return nil, err
	}
	config, err := source.Config()
	if err != nil {
		return nil, err
	}
	log := p.log("stations")
	client, err := connect.NewClient(connect.ClientConfig{Access: p.Connect, Logger: log})
	if err != nil {
		return nil, err
	}
	var flows atomic.Bool
	audit, err := connect.NewAudit(connect.AuditConfig{
		DB: db, Tables: connect.StationTables(p.Names.Stations(), p.Names.StationLines()), Kafka: p.kafka, Flows: flows.Load, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	if err := p.meter(gauge("ell_connector_running", "1 while Kafka Connect brings the station tables, 0 while something is wrong with its connector.", nil,
		func() float64 { return one(flows.Load()) })); err != nil {
		return nil, err
	}
	keep := connect.Keep{
		Name: source.Name(), Config: config,
		Check:  func(ctx context.Context) error { return postgres.CheckSlot(ctx, db, source.Slot()) },
		Report: func(err error) { flows.Store(err == nil) },
	}
	return func(ctx context.Context) error {
		defer client.Close()
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return client.Keep(ctx, keep) })
		g.Go(func() error { return audit.Run(ctx) })
		if err := g.Wait(); err != nil {
			return fmt.Errorf("kafka connect at %s: %w", p.Connect.URL, err)
		}
		return nil
	}, nil
}

// debezium is the connector's configuration, as the options have it.
func (p *platform) debezium() (connect.Debezium, error) {
	from := p.ConnectorPostgres
	if from.URL == "" {
		from.URL = p.Postgres.URL
	}
	a, err := from.Address()
	if err != nil {
		return connect.Debezium{}, err
	}
	d := connect.Debezium{
		Host: a.Host, Port: a.Port, Database: a.Database, Schema: a.Schema, User: a.User, TLS: a.TLS,
		Password: p.ConnectorPassword, Publication: postgres.Publication,
		Stations: p.Names.Stations(), StationLines: p.Names.StationLines(), Heartbeats: p.Names.ConnectOffsets(),
	}
	if d.Password == PlainPassword {
		d.Password = string(p.Postgres.Password)
	}
	return d, nil
}
