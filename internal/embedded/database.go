package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"ell/internal/cta"
)

// The columns are those of the original assignment, then the other colours,
// the place and the lift. "order" may be NULL, as it could there.
const databaseSchema = `
CREATE TABLE stations (
  stop_id INTEGER PRIMARY KEY,
  direction_id VARCHAR(1),
  stop_name VARCHAR(70),
  station_name VARCHAR(70),
  station_descriptive_name VARCHAR(200),
  station_id INTEGER,
  "order" INTEGER,
  red BOOLEAN, blue BOOLEAN, green BOOLEAN,
  brown BOOLEAN, orange BOOLEAN, pink BOOLEAN, purple BOOLEAN, yellow BOOLEAN,
  latitude REAL, longitude REAL,
  ada BOOLEAN
);
CREATE TABLE station_lines (
  line VARCHAR(20) NOT NULL,
  station_id INTEGER NOT NULL,
  "order" INTEGER,
  PRIMARY KEY (line, station_id)
);`

// OpenDatabase opens the station database of a data folder by itself, for a
// station source that feeds a real cluster. It may be open elsewhere too.
func OpenDatabase(ctx context.Context, dataDir string, net *cta.Network) (*sql.DB, error) {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w; choose another with --data", err)
	}
	return openDatabase(ctx, filepath.Join(dataDir, databaseFile), net)
}

// databaseFile is the station database inside a data folder.
const databaseFile = "stations.db"

// openDatabase opens the station database at path, making and filling it in
// one transaction if it is not there yet. Other processes may write to it.
func openDatabase(ctx context.Context, path string, net *cta.Network) (*sql.DB, error) {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		// WAL: readers and a writer do not wait for each other; the busy
		// timeout covers two writers.
		"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)", "foreign_keys(1)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open station database: %w", err)
	}
	if err := fillDatabase(ctx, db, net); err != nil {
		_ = db.Close() // the first error says it
		return nil, fmt.Errorf("station database %s: %w: if the file is damaged, move it away and start again to have it made anew", path, err)
	}
	return db, nil
}

func fillDatabase(ctx context.Context, db *sql.DB, net *cta.Network) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == 1:
		return nil
	case version > 1:
		return fmt.Errorf("format %d is newer than this version of ell knows", version)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if _, err := tx.ExecContext(ctx, databaseSchema); err != nil {
		return err
	}
	stations, err := tx.PrepareContext(ctx, `INSERT INTO stations VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`)
	if err != nil {
		return err
	}
	defer stations.Close()
	for _, r := range net.StopRows() {
		if _, err := stations.ExecContext(ctx, r.StopID, r.DirectionID, r.StopName, r.StationName, r.StationDescriptiveName,
			r.StationID, r.Order, r.Red, r.Blue, r.Green, r.Brown, r.Orange, r.Pink, r.Purple, r.Yellow, r.Lat, r.Lon, r.ADA); err != nil {
			return fmt.Errorf("insert stop %d: %w", r.StopID, err)
		}
	}
	lines, err := tx.PrepareContext(ctx, `INSERT INTO station_lines VALUES (?,?,?)`)
	if err != nil {
		return err
	}
	defer lines.Close()
	for _, r := range net.StationLineRows() {
		if _, err := lines.ExecContext(ctx, r.Line, r.StationID, r.Order); err != nil {
			return fmt.Errorf("insert %s station %d: %w", r.Line, r.StationID, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = 1"); err != nil {
		return err
	}
	return tx.Commit()
}
