package main

import (
	"regexp"
	"strings"

	"ell/internal/access"
	"ell/internal/app"
	"ell/internal/postgres"
)

// secrecy reads secrets from files and the environment, the only two places
// they may come from.
type secrecy struct {
	*faults
	readFile func(string) ([]byte, error)
	getenv   func(string) (string, bool)
}

// secret reads the secret of a name such as "kafka-password": from the file
// that --kafka-password-file names, or from ELL_KAFKA_PASSWORD.
func (r secrecy) secret(name, path string) access.Secret {
	v, inEnv := r.getenv(envName(name))
	if path == "" {
		return access.Secret(v)
	}
	if inEnv {
		r.add(name+"-file", "%s is set as well: keep one", envName(name))
	}
	b, err := r.readFile(path)
	if err != nil {
		r.add(name+"-file", "%v", err)
		return ""
	}
	v = strings.TrimRight(string(b), "\r\n")
	if v == "" {
		r.add(name+"-file", "%s is empty", path)
	}
	return access.Secret(v)
}

// neighbour is how a neighbour that speaks HTTP is reached; flag is its name
// and what its flags begin with. A URL of "" leaves the neighbour to others;
// then its settings are kept for whichever it will be.
func (r secrecy) neighbour(flag, url string, s by) access.HTTP {
	h := access.HTTP{
		URL: strings.TrimRight(url, "/"), User: s.User,
		Password: r.secret(flag+"-password", s.PasswordFile), Token: r.secret(flag+"-token", s.TokenFile),
		TLS: access.TLS{CAFile: s.CA, CertFile: s.Cert, KeyFile: s.Key},
	}
	if url != "" {
		r.check(flag, h.Validate())
	}
	return h
}

// reference is a value that a Connect worker resolves by one of its
// configuration providers.
var reference = regexp.MustCompile(`^\$\{[a-zA-Z0-9_-]+:[^{}$]+\}$`)

// stations reads where the station tables come from.
func (r secrecy) stations(s settings, o *app.Options) {
	o.Postgres = postgres.Config{URL: s.Postgres, Password: r.secret("postgres-password", s.PostgresPasswordFile)}
	if s.Postgres != "" {
		r.check("postgres", o.Postgres.Validate())
	}
	o.Connect = r.neighbour("connect", s.Connect, s.ConnectBy)
	o.ConnectorPostgres.URL = s.ConnectorPostgres
	if s.ConnectorPostgres != "" {
		r.check("connector-postgres", o.ConnectorPostgres.Validate())
	}
	o.ConnectorPassword = s.ConnectorPassword
	switch {
	case s.Connect != "" && s.Postgres == "":
		r.add("connect", "name the database that the connector reads with --postgres")
	case s.Connect == "":
	case s.ConnectorPassword == app.PlainPassword && o.Postgres.Password == "":
		r.add("connector-password", "plain needs the password itself: ELL_POSTGRES_PASSWORD or --postgres-password-file")
	case s.ConnectorPassword != app.PlainPassword && !reference.MatchString(s.ConnectorPassword):
		r.add("connector-password", "neither plain nor a reference that the Connect workers resolve, such as ${env:POSTGRES_PASSWORD} (a password itself does not belong on a command line)")
	}
}

func (s settings) kafkaTLS(f *faults) *access.TLS {
	t := access.TLS{CAFile: s.KafkaCA, CertFile: s.KafkaCert, KeyFile: s.KafkaKey}
	f.check("kafka-cert", t.Validate())
	if f.oneOf("kafka-tls", s.KafkaTLS, "off", "on") == "on" {
		return &t
	}
	if t != (access.TLS{}) {
		f.add("kafka-tls", "files for TLS are set but TLS is off: turn it on")
	}
	return nil
}

// check adds what is wrong according to err, a line a fault.
func (f *faults) check(flag string, err error) {
	if err == nil {
		return
	}
	for _, e := range faultsOf(err) {
		f.add(flag, "%v", e)
	}
}
