// Package app builds the roles of ell from options and runs them: each by
// itself against a cluster, or all of them in one process on embedded parts.
// It is wiring: what a role does is in the packages it calls. It reads no
// flags, handles no signals and never exits.
package app

import (
	"io"
	"log/slog"
	"time"

	"ell/internal/access"
	"ell/internal/event"
	"ell/internal/postgres"
)

// Secret is a password; it never shows itself.
type Secret = access.Secret

// Options say what to run and where. They have been checked by whoever fills them.
type Options struct {
	Data string // folder of the embedded parts

	Speed     float64 // city seconds a wall second, event.MinSpeed to event.MaxSpeed
	SpeedSet  bool    // somebody asked for Speed: it wins over what the log says
	Seed      int64
	Start     time.Time // first moment of a new city
	Incidents string    // off, light, normal, heavy

	HTTPAddr, KafkaAddr, RegistryAddr, GatewayAddr string // where to listen
	DebugAddr                                      string // profiles; "": none
	MetricsAddr                                    string // of roles without a website; "": none

	Control       bool     // viewers may change speed and pause
	Hosts         []string // further host names the website answers to
	MaxViewers    int
	MaxPerAddress int // of them from one address; 0: any number

	Brokers        []string // none: the embedded broker
	Names          event.Names
	Replication    int16         // of topics that are created; -1: the brokers' default
	Retention      time.Duration // of the sensors' topics; 0: by mode
	RetentionBytes int64         // a partition; 0: by mode
	Instance       string        // this process among those that share the work
	Leave          bool          // its share goes to the others when it is stopped
	CommitEvery    time.Duration

	KafkaTLS             *access.TLS // nil: plain TCP
	KafkaSASL, KafkaUser string
	KafkaPassword        Secret

	Registry  access.HTTP     // URL "": the embedded one
	RESTProxy access.HTTP     // URL "": ell's own gateway
	Protect   access.Listener // of ell's own gateway

	Postgres          postgres.Config // URL "": the station database in the data folder
	Connect           access.HTTP     // URL "": the station database is polled
	ConnectorPostgres postgres.Config // as the Connect workers see the database; URL "": as Postgres
	ConnectorPassword string          // what the connector's configuration says: a reference, or PlainPassword

	LogLevel   slog.Level
	LogJSON    bool
	oneProcess bool // set by Up: the broker is this process itself

	Log *slog.Logger
	Out io.Writer // the banner and reports
}
