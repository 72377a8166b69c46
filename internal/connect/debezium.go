package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// Debezium says how a Debezium connector gets the station tables out of a
// PostgreSQL database.
type Debezium struct {
	Host     string // of the database, as the Connect workers see it
	Port     int    // 0: 5432
	Database string
	User     string
	// Password should be a reference to one of the workers' configuration
	// providers (${file:/etc/ell/db.properties:password}): a plain one can be
	// read by anybody who can reach Connect.
	Password string
	Schema   string // "": public
	// Stations and StationLines are the topics the rows go to.
	Stations, StationLines string
}

// Config is the connector's configuration: rows as flat JSON, keyed by their
// primary keys, deletions as tombstones; the same records a Poller sends.
func (d Debezium) Config() (map[string]string, error) {
	if d.Host == "" || d.Database == "" || d.User == "" || d.Stations == "" || d.StationLines == "" {
		return nil, errors.New("debezium: host, database, user and both topics must be set")
	}
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", strconv.Itoa(d.Port)); err != nil || d.Port < 0 {
		return nil, fmt.Errorf("debezium: port %d", d.Port)
	}
	port, schema := d.Port, d.Schema
	if port == 0 {
		port = 5432
	}
	if schema == "" {
		schema = "public"
	}
	const server = "ell"
	route := func(table string) string { return "^" + regexp.QuoteMeta(server+"."+schema+"."+table) + "$" }
	return map[string]string{
		"connector.class":                "io.debezium.connector.postgresql.PostgresConnector",
		"tasks.max":                      "1",
		"plugin.name":                    "pgoutput",
		"database.hostname":              d.Host,
		"database.port":                  strconv.Itoa(port),
		"database.dbname":                d.Database,
		"database.user":                  d.User,
		"database.password":              d.Password,
		"topic.prefix":                   server,
		"slot.name":                      "ell_stations",
		"publication.name":               "ell_stations",
		"publication.autocreate.mode":    "filtered",
		"table.include.list":             strings.Join([]string{schema + ".stations", schema + ".station_lines"}, ","),
		"snapshot.mode":                  "initial",
		"decimal.handling.mode":          "double",
		"key.converter":                  "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable":   "false",
		"value.converter":                "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false",
		"exactly.once.support":           "requested",
		"transforms":                     "row,stations,lines",
		"transforms.row.type":            "io.debezium.transforms.ExtractNewRecordState",
		"transforms.row.delete.tombstone.handling.mode": "tombstone",
		"transforms.stations.type":                      "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.stations.regex":                     route("stations"),
		"transforms.stations.replacement":               d.Stations,
		"transforms.lines.type":                         "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.lines.regex":                        route("station_lines"),
		"transforms.lines.replacement":                  d.StationLines,
	}, nil
}
