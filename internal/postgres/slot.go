package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Publication is the publication of both tables.
const Publication = "ell_stations"

// CheckSlot returns what is wrong with a connector's replication slot: nobody
// reads it, it is not there, or the changes that it stood for are gone.
func CheckSlot(ctx context.Context, db *sql.DB, name string) error {
	var active bool
	var kept string
	err := db.QueryRowContext(ctx, `SELECT active, coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = $1`, name).Scan(&active, &kept)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("the connector says that it runs, but PostgreSQL has no replication slot %s: it has not begun to read", name)
	case err != nil:
		return fmt.Errorf("PostgreSQL does not answer: %s", oneLine(err))
	case kept == "lost":
		return fmt.Errorf("PostgreSQL has thrown away changes that replication slot %s had yet to read (max_slot_wal_keep_size): SELECT pg_drop_replication_slot('%s'), and the connector reads the tables anew", name, name)
	case !active:
		return fmt.Errorf("the connector says that it runs, but nobody reads its replication slot %s: it cannot reach PostgreSQL, may not read the tables, or has another host for it than ell", name)
	}
	return nil
}

// oneLine is an error on one line: that of a connection has one for each way tried.
func oneLine(err error) string {
	first, rest, _ := strings.Cut(err.Error(), "\n")
	second, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	return strings.TrimSpace(first + " " + second)
}

// Check returns what is wrong with the database: it cannot be reached, or has
// no station tables.
func Check(ctx context.Context, db *sql.DB) error {
	var exist bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('stations') IS NOT NULL AND to_regclass('station_lines') IS NOT NULL`).Scan(&exist); err != nil {
		return err
	}
	if !exist {
		return errors.New("the station tables are missing")
	}
	return nil
}
