package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"ell/internal/access"
	"ell/internal/cta"
)

//go:embed migrations/*.sql
var files embed.FS

// migration is one step of the schema. Steps that have been released never
// change; what is new comes behind.
type migration struct {
	name string
	run  func(ctx context.Context, tx *sql.Tx) error
}

func migrations(net *cta.Network) []migration {
	return []migration{
		script("001_stations"),
		script("002_lines"),
		{"003_seed", func(ctx context.Context, tx *sql.Tx) error { return seed(ctx, tx, net) }},
		script("004_publication"),
	}
}

func script(name string) migration {
	return migration{name, func(ctx context.Context, tx *sql.Tx) error {
		text, err := files.ReadFile("migrations/" + name + ".sql")
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, string(text))
		return err
	}}
}

// lockKey is what two migrating processes meet at; the number is of no meaning.
const lockKey = 0x656c6c

// Migrate brings the schema to this version and, the first time, fills tables
// that are empty with the network's rows. All of it is one transaction: a kill
// at any moment leaves all of it or none. It returns the steps that were run, and
// refuses a database of a newer version.
func Migrate(ctx context.Context, db *sql.DB, net *cta.Network) (done []string, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to the station database: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey); err != nil {
		return nil, fmt.Errorf("wait for another ell that migrates the station database: %w", err)
	}
	steps := migrations(net)
	version, err := version(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("read the version of the station database: %w", err)
	}
	if version > len(steps) {
		return nil, fmt.Errorf("the station database is of version %d, newer than this ell knows (%d): use a newer ell", version, len(steps))
	}
	for i, m := range steps[version:] {
		if err := m.run(ctx, tx); err != nil {
			return nil, fmt.Errorf("migrate the station database, step %s: %w", m.name, err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO ell_schema_migrations (version, name) VALUES ($1, $2)`, version+i+1, m.name); err != nil {
			return nil, fmt.Errorf("note step %s of the station database: %w", m.name, err)
		}
		done = append(done, m.name)
	}
	if err := keyed(ctx, tx); err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("migrate the station database: %w", err)
	}
	return done, nil
}

// version is the number of steps that have been run. The table has a name of
// ell's own, since others may share the database.
func version(ctx context.Context, tx *sql.Tx) (n int, err error) {
	var exists bool
	if err := tx.QueryRowContext(ctx, `SELECT to_regclass('ell_schema_migrations') IS NOT NULL`).Scan(&exists); err != nil {
		return 0, err
	}
	if !exists {
		_, err := tx.ExecContext(ctx, `CREATE TABLE ell_schema_migrations (
			version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`)
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM ell_schema_migrations`).Scan(&n)
	return n, err
}

// keyed refuses tables without the primary keys that records get their keys
// from: a table that was there before ell may lack them.
func keyed(ctx context.Context, tx *sql.Tx) error {
	for table, want := range map[string]string{"stations": "stop_id", "station_lines": "line,station_id"} {
		var have sql.NullString
		err := tx.QueryRowContext(ctx, `SELECT string_agg(a.attname, ',' ORDER BY a.attname)
			FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
			WHERE i.indisprimary AND i.indrelid = to_regclass($1)`, table).Scan(&have)
		if err != nil {
			return fmt.Errorf("look at the key of table %s: %w", table, err)
		}
		if have.String != want {
			return fmt.Errorf("table %s has the primary key (%s), not (%s): its records could not be told apart; ALTER TABLE %s ADD PRIMARY KEY (%s)",
				table, have.String, want, table, want)
		}
	}
	return nil
}

// seed fills each table that is empty.
func seed(ctx context.Context, tx *sql.Tx, net *cta.Network) error {
	stops := make([][]any, 0, len(net.Stations))
	for _, r := range net.StopRows() {
		stops = append(stops, []any{
			r.StopID, r.DirectionID, r.StopName, r.StationName, r.StationDescriptiveName, r.StationID, r.Order,
			r.Red, r.Blue, r.Green, r.Brown, r.Orange, r.Pink, r.Purple, r.Yellow, r.Lat, r.Lon, r.ADA,
		})
	}
	var lines [][]any
	for _, r := range net.StationLineRows() {
		lines = append(lines, []any{r.Line, r.StationID, r.Order})
	}
	return errors.Join(
		fill(ctx, tx, `stations (stop_id, direction_id, stop_name, station_name, station_descriptive_name, station_id, "order",
			red, blue, green, brown, orange, pink, purple, yellow, latitude, longitude, ada)`, stops),
		fill(ctx, tx, `station_lines (line, station_id, "order")`, lines))
}

// fill inserts rows into a table, if it has none. Table and columns are ours, no user's.
func fill(ctx context.Context, tx *sql.Tx, into string, rows [][]any) error {
	table, _, _ := strings.Cut(into, " ")
	var filled bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM `+table+`)`).Scan(&filled); err != nil || filled || len(rows) == 0 {
		return err
	}
	places := make([]string, len(rows[0]))
	for i := range places {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO `+into+` VALUES (`+strings.Join(places, ", ")+`)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, r := range rows {
		if _, err := insert.ExecContext(ctx, r...); err != nil {
			return fmt.Errorf("insert %v into %s: %w", r[0], table, err)
		}
	}
	return nil
}

// Transient says whether err may pass by waiting: the server is away, starts,
// stops, or has no place left. A refused password, a missing right or a
// certificate that is not trusted does not pass.
func Transient(err error) bool {
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch said.Code[:2] {
		case "08", "40", "53", "55", "57", "58": // connection, rollback, resources, state (locks), operator, system
			return true
		}
		return false
	}
	if access.Distrusted(err) {
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, context.DeadlineExceeded)
}
