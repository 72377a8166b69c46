// Package postgres is the station database on PostgreSQL: how to reach it, its
// schema as migrations, and its first rows.
//
// It does not carry rows to Kafka (package connect does) and knows nothing of
// Kafka Connect beyond the publication that a connector reads.
package postgres

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"ell/internal/access"
)

// Config says which database, and who we are there.
type Config struct {
	// URL is postgres://user@host:port/database, with libpq's parameters such
	// as sslmode=verify-full; without a password.
	URL      string
	Password access.Secret
}

// Validate reports what is wrong with the URL. It contacts nobody, and its
// error holds nothing of the URL, which may hold a password in the wrong place.
func (c Config) Validate() error {
	_, err := c.parse()
	return err
}

func (c Config) parse() (*pgx.ConnConfig, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Hostname() == "" || strings.Trim(u.Path, "/") == "" || u.User.Username() == "" {
		return nil, errors.New("not a URL such as postgres://user@host:5432/database")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return nil, errors.New("a URL must not hold a password, since logs and process lists show it: use a password file or the environment")
	}
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil { // whose text has the URL; its cause has not
		return nil, errors.Join(errors.New("not a URL that PostgreSQL's client understands"), errors.Unwrap(err))
	}
	if c.Password != "" {
		cfg.Password = string(c.Password)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 5 * time.Second
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "ell"
	}
	// A server that went away without a word is noticed by its silence.
	cfg.RuntimeParams["statement_timeout"] = "10000"
	cfg.RuntimeParams["lock_timeout"] = "5000"
	if cfg.RuntimeParams["search_path"] == "" {
		cfg.RuntimeParams["search_path"] = "public"
	}
	return cfg, nil
}

// Address is where the database is, for others that reach it by themselves.
type Address struct {
	Host, Database, Schema, User string
	Port                         uint16
	TLS                          map[string]string // sslmode, sslrootcert and the like, as the URL has them
}

// Address returns what the URL says.
func (c Config) Address() (Address, error) {
	cfg, err := c.parse()
	if err != nil {
		return Address{}, err
	}
	a := Address{Host: cfg.Host, Port: cfg.Port, Database: cfg.Database, Schema: cfg.RuntimeParams["search_path"], User: cfg.User, TLS: map[string]string{}}
	u, err := url.Parse(c.URL)
	if err != nil {
		return Address{}, err
	}
	for name, values := range u.Query() {
		if strings.HasPrefix(name, "ssl") {
			a.TLS[name] = values[0]
		}
	}
	return a, nil
}

// Open makes a pool of few connections. It contacts nobody.
func (c Config) Open() (*sql.DB, error) {
	cfg, err := c.parse()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(2)
	return db, nil
}
