package connect

import (
	"strings"
)

// Reason is why something failed: in words, with what mends it, where the
// cause is known; and what Connect itself said, on one line.
type Reason struct {
	Words string // "": not a known cause
	Said  string
	Waits bool // it may pass without anybody changing a setting
}

func (r Reason) String() string {
	if r.Words == "" {
		return r.Said
	}
	return r.Words + " (" + r.Said + ")"
}

// cause is a known cause of failures.
type cause struct {
	any   []string // of these, in small letters, one is in the text
	words string
	waits bool
}

// causes are the known ones, the more telling first: a trace may hold several.
func causes() []cause {
	return []cause{
		{[]string{"password authentication failed", "no password was provided", "no password supplied"},
			"PostgreSQL refuses the connector's user or password; if the password is a reference such as ${env:…}, the workers must have that configuration provider and the secret", false},
		{[]string{"no pg_hba.conf entry", "is not permitted to log in"},
			"PostgreSQL does not let the connector's user in from that host: see pg_hba.conf and the role's LOGIN", false},
		{[]string{"must be superuser or replication role", "permission denied to start wal sender", "permission denied to use replication slots"},
			"the connector's user may not read the log of changes: ALTER ROLE … REPLICATION", false},
		{[]string{"requires wal_level", "wal_level property must be", "wal_level is insufficient"},
			"PostgreSQL does not keep the log that Debezium reads: ALTER SYSTEM SET wal_level = logical, then restart PostgreSQL", false},
		{[]string{"all replication slots are in use"},
			"PostgreSQL has no replication slot left: drop one that nobody reads (pg_drop_replication_slot) or raise max_replication_slots", false},
		{[]string{"number of requested standby connections exceeds", "max_wal_senders"},
			"PostgreSQL has no sender of changes left: raise max_wal_senders", true},
		{[]string{"is active for pid"},
			"another connector reads this connector's replication slot: stop that one; or wait, if it is this one's predecessor", true},
		{[]string{"can no longer get changes from replication slot", "has been invalidated", "requested wal segment", "invalidating obsolete replication slot"},
			"PostgreSQL has thrown away changes that were not read yet (max_slot_wal_keep_size): drop the replication slot, and the connector reads the tables anew", false},
		{[]string{"publication autocreation is disabled", "publication \"ell_stations\" does not exist"},
			"the publication of the station tables is gone: CREATE PUBLICATION ell_stations FOR TABLE stations, station_lines", false},
		{[]string{"must be owner of table", "permission denied for database"},
			"the user may not make a publication of these tables: run it as the owner of the tables, with CREATE on the database", false},
		{[]string{"permission denied for table", "permission denied for relation", "permission denied for schema"},
			"the connector's user may not read the station tables: GRANT SELECT ON stations, station_lines TO …", false},
		{[]string{"relation \"stations\" does not exist", "relation \"public.stations\" does not exist", "station_lines\" does not exist", "no table filters found for filtered publication"},
			"a station table is missing: start ell stations anew, which makes it", false},
		{[]string{"fatal: database \""},
			"PostgreSQL has no such database: CREATE DATABASE …, or correct --postgres", false},
		{[]string{"no space left on device", "could not extend file", "disk full"},
			"a disk is full, of PostgreSQL, of Kafka or of the worker: make room", true},
		{[]string{"topicauthorizationexception", "not authorized to access topics", "clusterauthorizationexception", "transactionalidauthorizationexception", "groupauthorizationexception"},
			"Kafka's ACLs do not let the Connect worker write: allow its user WRITE and DESCRIBE on the station topics", false},
		{[]string{"saslauthenticationexception", "sslauthenticationexception"},
			"Kafka refuses the Connect worker's credentials or certificate: see producer.* in the worker's configuration", false},
		{[]string{"failed to find any class that implements connector"},
			"the worker has no Debezium connector for PostgreSQL: unpack it into the worker's plugin.path and restart the worker", false},
		{[]string{"could not be found", "classnotfoundexception", "noclassdeffounderror"},
			"the worker lacks a class that the connector's configuration names: install the plugin on every worker and restart it", false},
		{[]string{"could not read properties", "configprovider"},
			"the worker's configuration provider cannot read the secret: see config.providers in the worker's configuration", false},
		{[]string{"the server does not support ssl", "pkix path building failed", "ssl error"},
			"TLS between the worker and PostgreSQL fails: see sslmode and sslrootcert, and that the workers have that file", false},
		{[]string{"recordtoolargeexception"},
			"a row is larger than Kafka takes: shorten it in the database", false},
		{[]string{"outofmemoryerror"}, "the Connect worker has not enough memory: raise its heap (-Xmx)", true},
		{[]string{"too many clients", "remaining connection slots are reserved"},
			"PostgreSQL has no connection left for the connector: raise max_connections, or close some", true},
		{[]string{"unknownhostexception", "connection attempt failed"},
			"the workers cannot reach PostgreSQL: does the host's name mean the same to them as here? (--connector-postgres)", true},
		{[]string{" refused", "connection reset", "eofexception", "i/o error occurred", "failed when reading from copy", "terminating connection", "the database system is", "connection has been closed"},
			"the workers have no connection to PostgreSQL: it is away, starts or stops", true},
		{[]string{"not present in metadata", "unknowntopicorpartition", "notleaderorfollower", "timeoutexception", "request timed out"},
			"Kafka does not answer the Connect worker in time", true},
		{[]string{"rebalance", "conflicting operation", "no connectors leader"},
			"the Connect cluster shares out its work anew", true},
	}
}

// Explain says in words what a Java error says in many lines.
func Explain(text string) Reason {
	lower := strings.ToLower(text)
	for _, c := range causes() {
		for _, sign := range c.any {
			if at := strings.Index(lower, sign); at >= 0 {
				return Reason{Words: c.words, Said: said(text, lower, at), Waits: c.waits}
			}
		}
	}
	return Reason{Said: Condense(text)}
}

// said is the line of text around at. lower is text in small letters, which
// for letters beyond ASCII may be of another length: then the whole is condensed.
func said(text, lower string, at int) string {
	if len(text) != len(lower) {
		return Condense(text)
	}
	from := strings.LastIndexByte(text[:at], '\n') + 1
	to := len(text)
	if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
		to = at + n
	}
	line := strings.TrimPrefix(strings.TrimSpace(text[from:to]), "Caused by: ")
	return Condense(strings.TrimPrefix(line, "Error while validating connector config: "))
}

// Condense makes one line of a Java error: its first line and its last cause,
// without the stack, bounded, and with nothing a terminal would act on.
func Condense(text string) string {
	const most = 300
	var first, cause string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.Map(printable, line))
		switch {
		case line == "" || strings.HasPrefix(line, "at ") || strings.HasPrefix(line, "... "):
		case first == "":
			first = line
		case strings.HasPrefix(line, "Caused by: "):
			cause = strings.TrimPrefix(line, "Caused by: ")
		}
	}
	if cause != "" && !strings.Contains(first, cause) {
		first += " (" + cause + ")"
	}
	if first == "" {
		return "no reason given"
	}
	if r := []rune(first); len(r) > most {
		first = string(r[:most]) + "…"
	}
	return first
}

func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
		return -1
	}
	return r
}
