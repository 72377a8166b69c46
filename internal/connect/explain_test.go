package connect_test

import (
	"strings"
	"testing"

	"ell/internal/connect"
)

func TestExplainKnowsTheCausesThatConnectHidesInTraces(t *testing.T) {
	// What Debezium 3.7 and Kafka Connect 4.3 said, each made to fail in this way.
	const stack = "\n\tat io.debezium.connector.Some.method(Some.java:1)\n"
	for name, c := range map[string]struct {
		text, words, said string
		waits             bool
	}{
		"a wrong password": {
			`Error while validating connector config: FATAL: password authentication failed for user "cta_admin"` + "\nYou can also find",
			"refuses the connector's user or password", `FATAL: password authentication failed for user "cta_admin"`, false,
		},
		"a database that is away": {
			"Error while validating connector config: Connection to 127.0.0.1:1 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.",
			"no connection to PostgreSQL", "Connection to 127.0.0.1:1 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.", true,
		},
		"a name that the workers do not know": {
			"Error while validating connector config: The connection attempt failed.", "cannot reach PostgreSQL", "The connection attempt failed.", true,
		},
		"no such database": {
			`Error while validating connector config: FATAL: database "none" does not exist`, "no such database", `FATAL: database "none" does not exist`, false,
		},
		"no right to the log": {
			"io.debezium.DebeziumException: Creation of replication slot failed" + stack + "Caused by: org.postgresql.util.PSQLException: FATAL: must be superuser or replication role to start walsender" + stack + "\t... 13 more\n",
			"ALTER ROLE … REPLICATION", "org.postgresql.util.PSQLException: FATAL: must be superuser or replication role to start walsender", false,
		},
		"a log that is not kept": {
			"io.debezium.DebeziumException: Creation of replication slot failed" + stack + "Caused by: org.postgresql.util.PSQLException: ERROR: logical decoding requires wal_level >= logical" + stack,
			"ALTER SYSTEM SET wal_level = logical", "org.postgresql.util.PSQLException: ERROR: logical decoding requires wal_level >= logical", false,
		},
		"no slot left": {
			"io.debezium.DebeziumException: Creation of replication slot failed" + stack + "Caused by: org.postgresql.util.PSQLException: ERROR: all replication slots are in use\n  Hint: Free one or increase max_replication_slots." + stack,
			"no replication slot left", "org.postgresql.util.PSQLException: ERROR: all replication slots are in use", false,
		},
		"no publication": {
			"org.apache.kafka.connect.errors.ConnectException: Publication autocreation is disabled, please create one and restart the connector." + stack,
			"CREATE PUBLICATION ell_stations", "org.apache.kafka.connect.errors.ConnectException: Publication autocreation is disabled, please create one and restart the connector.", false,
		},
		"no right to a table": {
			"org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped." + stack +
				"Caused by: io.debezium.DebeziumException: java.util.concurrent.ExecutionException: org.apache.kafka.connect.errors.ConnectException: Snapshotting of table public.stations failed" + stack +
				"Caused by: org.postgresql.util.PSQLException: ERROR: permission denied for table stations" + stack,
			"GRANT SELECT", "org.postgresql.util.PSQLException: ERROR: permission denied for table stations", false,
		},
		"no Debezium": {
			"Failed to find any class that implements Connector and which name matches io.nothing.Connector, available connectors are: PluginDesc{klass=class x}",
			"no Debezium connector", "Failed to find any class that implements Connector and which name matches io.nothing.Connector, available connectors are: PluginDesc{klass=class x}", false,
		},
		"no such converter": {
			"Invalid value io.confluent.connect.avro.AvroConverter for configuration value.converter: Class io.confluent.connect.avro.AvroConverter could not be found.",
			"lacks a class", "Invalid value io.confluent.connect.avro.AvroConverter for configuration value.converter: Class io.confluent.connect.avro.AvroConverter could not be found.", false,
		},
		"something new": {
			"java.lang.IllegalStateException: what is this" + stack + "Caused by: a.B: c" + stack + "Caused by: d.E: the root" + stack,
			"", "java.lang.IllegalStateException: what is this (d.E: the root)", false,
		},
		"letters that grow when they are made small": {
			"İİ: connection refused\nnext", "no connection", "İİ: connection refused", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := connect.Explain(c.text)
			if !strings.Contains(got.Words, c.words) || c.words == "" && got.Words != "" || got.Said != c.said || got.Waits != c.waits {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestCondense(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"nothing is said so":                 {"\n\n", "no reason given"},
		"terminal codes and newlines go":     {"\x1b[31mred\x07\r\nat x", "[31mred"},
		"a long line is cut":                 {strings.Repeat("é", 1000), strings.Repeat("é", 300) + "…"},
		"a cause already named is not twice": {"boom: x\nCaused by: x", "boom: x"},
		"only the last cause counts":         {"a\nCaused by: b\nCaused by: c", "a (c)"},
		"stack lines are not the first line": {"at q\nreal", "real"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := connect.Condense(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzExplain(f *testing.F) {
	f.Add("java.lang.X: y\n\tat z\nCaused by: connection refused")
	f.Fuzz(func(t *testing.T, text string) {
		got := connect.Explain(text).String()
		if strings.ContainsAny(got, "\n\r\x1b") || len([]rune(got)) > 700 {
			t.Errorf("%q", got)
		}
	})
}
