package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ell/internal/check"
	"ell/internal/connect"
	"ell/internal/postgres"
)

// checkStations looks at the station database and at what brings it to Kafka,
// where the options name them.
func (o Options) checkStations(ctx context.Context) []check.Finding {
	var out []check.Finding
	if o.Postgres.URL != "" {
		f := check.Finding{Part: "PostgreSQL", Text: o.Postgres.URL + " has the station tables"}
		if err := o.pingPostgres(ctx); err != nil {
			f.Level, f.Text, f.Mend = check.Bad, fmt.Sprintf("%s: %v", o.Postgres.URL, err), "start it, or correct --postgres and its password; ell stations makes the tables"
		}
		out = append(out, f)
	}
	if o.Connect.URL == "" {
		return out
	}
	out = append(out, check.HTTP(ctx, "Kafka Connect", o.Connect, "connectors", "--connect", "start a worker, or name another with --connect")...)
	if out[len(out)-1].Level == check.Bad {
		return out
	}
	return append(out, o.checkConnector(ctx))
}

func (o Options) pingPostgres(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	db, err := o.Postgres.Open()
	if err != nil {
		return err
	}
	defer db.Close()
	return postgres.Check(ctx, db)
}

func (o Options) checkConnector(ctx context.Context) check.Finding {
	name := connect.Debezium{Stations: o.Names.Stations()}.Name()
	f := check.Finding{Part: "connector", Text: name + " runs"}
	c, err := connect.NewClient(connect.ClientConfig{Access: o.Connect, Timeout: 5 * time.Second})
	if err != nil {
		f.Level, f.Text = check.Bad, err.Error()
		return f
	}
	defer c.Close()
	status, err := c.Status(ctx, name)
	reason, failed := status.Failed()
	var no *connect.Error
	switch {
	case errors.As(err, &no) && no.Status == http.StatusNotFound:
		f.Level, f.Text, f.Mend = check.Odd, "there is no connector "+name, "ell stations registers it"
	case err != nil:
		f.Level, f.Text = check.Bad, err.Error()
	case failed:
		f.Level, f.Text, f.Mend = check.Bad, name+" failed: "+reason.String(), "ell stations restarts it; see whether that runs"
	case !status.Running():
		f.Level, f.Text, f.Mend = check.Odd, name+" does not run yet", "ask again in a moment"
	}
	return f
}
