package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ell/internal/cta"
	"ell/internal/postgres"
)

// server is a PostgreSQL of the test's own.
type server struct{ addr string }

// startServer starts one, or skips the test where it is not installed.
func startServer(t *testing.T) *server {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	bin := ""
	if path, err := exec.LookPath("initdb"); err == nil {
		bin = filepath.Dir(path)
	} else if len(bins) > 0 {
		bin = slices.Max(bins)
	} else {
		t.Skip("PostgreSQL is not installed: on Debian, apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("", "ell-postgres-") //nolint:usetesting // the server's user cannot reach t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run := func(name string, args ...string) *exec.Cmd {
		args = append([]string{filepath.Join(bin, name)}, args...)
		if os.Getuid() == 0 { // PostgreSQL refuses to run as root
			args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		return cmd
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Skipf("there is no user postgres: %s", out)
		}
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-A", "trust", "-U", "admin", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := run("postgres", "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "wal_level=logical", "-c", "fsync=off")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run("pg_ctl", "-D", data, "-m", "immediate", "stop").Run()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	s := &server{addr: addr}
	db := s.open(t, "postgres")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // another process is waited for
		err := db.PingContext(t.Context())
		if err == nil {
			return s
		}
		if !postgres.Transient(err) || time.Now().After(end) {
			t.Fatalf("PostgreSQL does not start: %v", err)
		}
	}
}

func (s *server) open(t *testing.T, database string) *sql.DB {
	t.Helper()
	db, err := postgres.Config{URL: "postgres://admin@" + s.addr + "/" + database}.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// database makes an empty one.
func (s *server) database(t *testing.T) *sql.DB {
	t.Helper()
	name := fmt.Sprintf("d%d", time.Now().UnixNano())
	exec1(t, s.open(t, "postgres"), `CREATE DATABASE `+name)
	return s.open(t, name)
}

func exec1(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func number(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestMigrate(t *testing.T) {
	s, chicago := startServer(t), cta.Chicago()
	steps := []string{"001_stations", "002_lines", "003_seed", "004_publication"}

	t.Run("an empty database gets the network, once", func(t *testing.T) {
		db := s.database(t)
		done, err := postgres.Migrate(t.Context(), db, chicago)
		if err != nil || !slices.Equal(done, steps) {
			t.Fatalf("%v, %v", done, err)
		}
		if n := number(t, db, `SELECT count(*) FROM stations`); n != len(chicago.StopRows()) {
			t.Errorf("%d stops", n)
		}
		if n := number(t, db, `SELECT count(*) FROM station_lines`); n != len(chicago.StationLineRows()) {
			t.Errorf("%d places on lines", n)
		}
		if n := number(t, db, `SELECT count(*) FROM pg_publication_tables WHERE pubname = 'ell_stations'`); n != 2 {
			t.Errorf("%d tables are published", n)
		}
		exec1(t, db, `DELETE FROM stations`)
		if done, err := postgres.Migrate(t.Context(), db, chicago); err != nil || len(done) != 0 {
			t.Errorf("the second time: %v, %v", done, err)
		}
		if n := number(t, db, `SELECT count(*) FROM stations`); n != 0 {
			t.Errorf("%d rows came back that somebody had deleted", n)
		}
	})

	t.Run("the table of the original assignment keeps its rows", func(t *testing.T) {
		db := s.database(t)
		exec1(t, db, `CREATE TABLE stations (stop_id INTEGER PRIMARY KEY, direction_id VARCHAR(1) NOT NULL, stop_name VARCHAR(70) NOT NULL, station_name VARCHAR(70) NOT NULL,
			station_descriptive_name VARCHAR(200) NOT NULL, station_id INTEGER NOT NULL, "order" INTEGER, red BOOLEAN NOT NULL, blue BOOLEAN NOT NULL, green BOOLEAN NOT NULL)`)
		exec1(t, db, `INSERT INTO stations VALUES (1, 'N', 'a', 'b', 'c', 40010, 0, true, false, false)`)
		if _, err := postgres.Migrate(t.Context(), db, chicago); err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, `SELECT count(*) FROM stations WHERE brown IS NULL AND latitude IS NULL`); n != 1 {
			t.Errorf("%d rows", n)
		}
	})

	t.Run("a table without a key is refused, with the mend, and nothing changes", func(t *testing.T) {
		db := s.database(t)
		exec1(t, db, `CREATE TABLE stations (stop_id integer, station_id integer, station_name text, direction_id text, stop_name text, station_descriptive_name text, "order" integer, red boolean, blue boolean, green boolean)`)
		_, err := postgres.Migrate(t.Context(), db, chicago)
		if err == nil || !strings.Contains(err.Error(), "ALTER TABLE stations ADD PRIMARY KEY (stop_id)") || postgres.Transient(err) {
			t.Errorf("got %v", err)
		}
		if n := number(t, db, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 1 {
			t.Errorf("%d tables are there", n)
		}
	})

	t.Run("a newer database is refused", func(t *testing.T) {
		db := s.database(t)
		if _, err := postgres.Migrate(t.Context(), db, chicago); err != nil {
			t.Fatal(err)
		}
		exec1(t, db, `INSERT INTO ell_schema_migrations VALUES (99, 'later')`)
		if _, err := postgres.Migrate(t.Context(), db, chicago); err == nil || !strings.Contains(err.Error(), "newer") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("several at once take turns", func(t *testing.T) {
		db := s.database(t)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { _, errs[i] = postgres.Migrate(t.Context(), db, chicago) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if n := number(t, db, `SELECT count(*) FROM ell_schema_migrations`); n != len(steps) {
			t.Errorf("%d steps are noted", n)
		}
	})

	t.Run("a kill in the middle leaves nothing", func(t *testing.T) {
		db := s.database(t)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		if _, err := postgres.Migrate(ctx, db, chicago); err == nil {
			t.Skip("it was done before it was cut")
		}
		if n := number(t, db, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 0 {
			t.Errorf("%d tables were left", n)
		}
		if _, err := postgres.Migrate(t.Context(), db, chicago); err != nil {
			t.Errorf("the next try: %v", err)
		}
	})

	t.Run("a user without rights is told so, and not waited for", func(t *testing.T) {
		db := s.database(t)
		exec1(t, db, `REVOKE CREATE ON SCHEMA public FROM PUBLIC; DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN`)
		var name string
		if err := db.QueryRowContext(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
			t.Fatal(err)
		}
		weak, err := postgres.Config{URL: "postgres://weak@" + s.addr + "/" + name}.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer weak.Close()
		if _, err := postgres.Migrate(t.Context(), weak, chicago); err == nil || !strings.Contains(err.Error(), "permission denied") || postgres.Transient(err) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a slot that nobody reads, and one that is not there, are faults", func(t *testing.T) {
		db := s.database(t)
		if err := postgres.CheckSlot(t.Context(), db, "ell_x"); err == nil || !strings.Contains(err.Error(), "has no replication slot ell_x") {
			t.Errorf("no slot: %v", err)
		}
		exec1(t, db, `SELECT pg_create_logical_replication_slot('ell_x', 'pgoutput')`)
		if err := postgres.CheckSlot(t.Context(), db, "ell_x"); err == nil || !strings.Contains(err.Error(), "nobody reads") {
			t.Errorf("an idle slot: %v", err)
		}
		exec1(t, db, `SELECT pg_drop_replication_slot('ell_x')`)
	})
}

func TestAServerThatIsAwayIsWaitedForAndAWrongDatabaseIsNot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	away, err := postgres.Config{URL: "postgres://u@" + addr + "/d", Password: "hunter2"}.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	if _, err = postgres.Migrate(t.Context(), away, cta.Chicago()); !postgres.Transient(err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a server that is away: %v", err)
	}
	s := startServer(t)
	if _, err := postgres.Migrate(t.Context(), s.open(t, "nowhere"), cta.Chicago()); err == nil || postgres.Transient(err) {
		t.Errorf("a database that does not exist: %v", err)
	}
}
