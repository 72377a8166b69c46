package connect

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Debezium says how a Debezium connector gets the station tables out of a
// PostgreSQL database.
type Debezium struct {
	Host     string // of the database, as the Connect workers see it
	Port     uint16
	Database string
	Schema   string
	User     string
	// Password should be a reference to one of the workers' configuration
	// providers (${env:ELL_POSTGRES_PASSWORD}): a plain one can be read by
	// anybody who can reach Connect.
	Password    string
	TLS         map[string]string // Debezium's database.ssl… properties, by what follows "database."
	Publication string            // of both tables; it must exist
	// Stations and StationLines are the topics the rows go to.
	Stations, StationLines string
	Heartbeats             string // the topic for Debezium's own record of how far it is
}

// Name is the connector's name, one for each pair of topics.
func (d Debezium) Name() string { return d.Stations + "-source" }

// Slot is the name of the connector's replication slot. PostgreSQL allows
// small letters, digits and underscores, at most 63.
func (d Debezium) Slot() string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(d.Name()))
	if len(name) > 63 {
		sum := sha256.Sum256([]byte(name))
		name = name[:46] + "_" + hex.EncodeToString(sum[:8])
	}
	return name
}

// Config is the connector's configuration: rows as flat JSON, keyed by their
// primary keys, deletions as tombstones; the same records a Poller sends.
func (d Debezium) Config() (map[string]string, error) {
	if d.Host == "" || d.Port == 0 || d.Database == "" || d.Schema == "" || d.User == "" || d.Publication == "" || d.Stations == "" || d.StationLines == "" || d.Heartbeats == "" {
		return nil, errors.New("debezium: host, port, database, schema, user, publication and all three topics must be set")
	}
	const server = "ell" // only inside the connector: the routes below give the topics their names
	route := func(table string) string { return "^" + regexp.QuoteMeta(server+"."+d.Schema+"."+table) + "$" }
	var tables, columns []string
	for _, t := range StationTables(d.Stations, d.StationLines) {
		tables = append(tables, regexp.QuoteMeta(d.Schema+"."+t.Name))
		for _, c := range t.Columns {
			columns = append(columns, regexp.QuoteMeta(d.Schema+"."+t.Name+"."+c))
		}
	}
	config := map[string]string{
		"connector.class":             "io.debezium.connector.postgresql.PostgresConnector",
		"tasks.max":                   "1",
		"plugin.name":                 "pgoutput",
		"database.hostname":           d.Host,
		"database.port":               strconv.Itoa(int(d.Port)),
		"database.dbname":             d.Database,
		"database.user":               d.User,
		"database.password":           d.Password,
		"topic.prefix":                server,
		"slot.name":                   d.Slot(),
		"publication.name":            d.Publication,
		"publication.autocreate.mode": "disabled", // the migrations make it
		"table.include.list":          strings.Join(tables, ","),
		"column.include.list":         strings.Join(columns, ","), // a table may have more, which are not ours to tell
		"exactly.once.support":        "requested",

		// A slot or an offset that is lost is made good by reading the tables again.
		"snapshot.mode": "when_needed",
		// The tables may be quiet for months while others in the database are
		// written: without this their log would be kept for us until the disk is full.
		"heartbeat.interval.ms": "60000",
		"lsn.flush.mode":        "connector_and_driver",
		// A task that retries by itself counts as running, and nobody would learn why
		// nothing comes: after the shortest cuts it is to fail, and Keep restarts it.
		"errors.max.retries": "2",
		// A changed row is to be on the website within two seconds, also after a cut.
		"poll.interval.ms":                    "50",
		"slot.retry.delay.ms":                 "1000",
		"retriable.restart.connector.wait.ms": "1000",

		"decimal.handling.mode":          "double",
		"key.converter":                  "org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable":   "false",
		"value.converter":                "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false",
		"transforms":                     "row,stations,lines,heartbeats",
		"transforms.row.type":            "io.debezium.transforms.ExtractNewRecordState",
		// Not "tombstone": that leaves a null with a schema, which JsonConverter
		// writes as the four letters null, and compaction keeps those for ever.
		"transforms.row.delete.tombstone.handling.mode": "delete-to-tombstone",
		"transforms.stations.type":                      "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.stations.regex":                     route("stations"),
		"transforms.stations.replacement":               d.Stations,
		"transforms.lines.type":                         "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.lines.regex":                        route("station_lines"),
		"transforms.lines.replacement":                  d.StationLines,
		"transforms.heartbeats.type":                    "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.heartbeats.regex":                   "^" + regexp.QuoteMeta("__debezium-heartbeat."+server) + "$",
		"transforms.heartbeats.replacement":             d.Heartbeats,
	}
	for name, value := range d.TLS {
		config["database."+name] = value
	}
	return config, nil
}
