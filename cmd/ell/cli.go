package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ell/internal/app"
)

// settings are all flags of ell. They are text here: what each must look
// like is checked in one place (options.go), so that all faults are told at once.
type settings struct {
	Config  string `help:"YAML file with settings, named as the flags are." placeholder:"FILE" group:"General"`
	Profile string `help:"Settings that ell brings along: stack, for what make stack starts on this machine." placeholder:"NAME" group:"General"`
	Data    string `help:"Folder that holds the city: log, schemas, stations." placeholder:"DIR" group:"General"`
	Log     string `help:"Least level of log lines: debug, info, warn or error." default:"warn" placeholder:"LEVEL" group:"General"`
	LogFmt  string `name:"log-format" help:"Form of log lines: text or json." default:"text" placeholder:"FORM" group:"General"`

	Speed     string `help:"City seconds to a real second, 0.1 to 7200." default:"10" group:"City"`
	Seed      string `help:"Seed of the city; the same seed gives the same events." default:"1" group:"City"`
	At        string `help:"When a new city begins, in Chicago: '2026-04-14 07:30' or 'now'." default:"2026-04-14 07:30" placeholder:"TIME" group:"City"`
	Incidents string `help:"How often service is disturbed: off, light, normal or heavy." default:"normal" placeholder:"RATE" group:"City"`

	HTTPAddr      string `name:"http-addr" help:"Where the website listens." default:"127.0.0.1:8888" placeholder:"ADDR" group:"Listeners"`
	KafkaAddr     string `help:"Where the embedded broker listens." default:"127.0.0.1:9092" placeholder:"ADDR" group:"Listeners"`
	RegistryAddr  string `help:"Where the embedded schema registry listens." default:"127.0.0.1:8081" placeholder:"ADDR" group:"Listeners"`
	GatewayAddr   string `help:"Where the REST Proxy listens." default:"127.0.0.1:8082" placeholder:"ADDR" group:"Listeners"`
	MetricsAddr   string `help:"Where roles answer /metrics and /healthz, besides the website; none: nowhere." placeholder:"ADDR" group:"Listeners"`
	DebugAddr     string `help:"Where Go's profiles are served; none: nowhere." placeholder:"ADDR" group:"Listeners"`
	Control       string `help:"Who may change speed and pause on the website: on, off, or auto (on if it listens on loopback and has no further host name)." default:"auto" placeholder:"WHO" group:"Listeners"`
	Hosts         string `help:"Further host names that requests over HTTP may be for, with commas between." placeholder:"NAMES" group:"Listeners"`
	MaxViewers    string `help:"Most viewers at once." default:"20000" placeholder:"N" group:"Listeners"`
	MaxPerAddress string `name:"max-viewers-per-address" help:"Most viewers at once from one address; 0: any number, as behind a proxy, whose address all have." default:"256" placeholder:"N" group:"Listeners"`

	Brokers           string `help:"Kafka brokers, with commas between; none: the embedded broker." placeholder:"HOST:PORT,…" group:"Kafka"`
	Topics            string `help:"Layout of the sensors' topics: per-station or shared." default:"per-station" placeholder:"LAYOUT" group:"Kafka"`
	Prefix            string `help:"What the names of topics and groups begin with." default:"org.chicago.cta." placeholder:"PREFIX" group:"Kafka"`
	Replication       string `help:"Replicas of each topic that ell creates; auto: as the brokers do by default." default:"auto" placeholder:"N" group:"Kafka"`
	Retention         string `help:"How long the sensors' records are kept." default:"auto" placeholder:"DURATION" group:"Kafka"`
	RetentionBytes    string `help:"How much of the sensors' records is kept, in bytes a partition; auto bounds the embedded broker." default:"auto" placeholder:"BYTES" group:"Kafka"`
	Instance          string `help:"Name of this process among those that share the work; stable across restarts." placeholder:"NAME" group:"Kafka"`
	OnStop            string `help:"What a processor that is stopped does with its share of the work: keep it for half a minute, so that a restart disturbs nobody, or leave it to the others." default:"keep" placeholder:"WHAT" group:"Kafka"`
	CommitEvery       string `help:"Longest time between two commits of the processor; twice that at most for one that has fallen behind." default:"100ms" placeholder:"DURATION" group:"Kafka"`
	KafkaTLS          string `name:"kafka-tls" help:"Speak TLS to the brokers: on or off." default:"off" group:"Kafka"`
	KafkaCA           string `name:"kafka-ca" help:"File with the certificate authority of the brokers; none: the system's." placeholder:"FILE" group:"Kafka"`
	KafkaCert         string `help:"File with the client's certificate." placeholder:"FILE" group:"Kafka"`
	KafkaKey          string `help:"File with the key of the client's certificate." placeholder:"FILE" group:"Kafka"`
	KafkaSASL         string `name:"kafka-sasl" help:"plain, scram-sha-256 or scram-sha-512." placeholder:"MECHANISM" group:"Kafka"`
	KafkaUser         string `help:"User for SASL." placeholder:"NAME" group:"Kafka"`
	KafkaPasswordFile string `help:"File with the password for SASL (or ELL_KAFKA_PASSWORD)." placeholder:"FILE" group:"Kafka"`

	Registry    string `help:"URL of the schema registry; none: the embedded one." placeholder:"URL" group:"Neighbours"`
	RegistryBy  by     `embed:"" prefix:"registry-" set:"whom=the registry"`
	RESTProxy   string `name:"rest-proxy" help:"URL of the REST Proxy that the weather device reports to; none: ell's own." placeholder:"URL" group:"Neighbours"`
	RESTProxyBy by     `embed:"" prefix:"rest-proxy-" set:"whom=the REST Proxy"`

	Postgres             string `help:"URL of the station database on PostgreSQL, without a password; none: the one in the data folder." placeholder:"postgres://USER@HOST/DB" group:"Stations"`
	PostgresPasswordFile string `help:"File with the password (or ELL_POSTGRES_PASSWORD)." placeholder:"FILE" group:"Stations"`
	Connect              string `help:"URL of Kafka Connect, whose Debezium connector reads the station database then; none: ell polls it." placeholder:"URL" group:"Stations"`
	ConnectBy            by     `embed:"" prefix:"connect-" set:"whom=Kafka Connect"`
	ConnectorPostgres    string `help:"URL of the station database for the Connect workers, if they reach it in another way or as another user." placeholder:"URL" group:"Stations"`
	ConnectorPassword    string `help:"What stands in the connector's configuration for the password: a reference that the workers resolve, or plain for the password itself." default:"$${env:POSTGRES_PASSWORD}" placeholder:"REFERENCE" group:"Stations"`

	GatewayCert         string `help:"File with the certificate of ell's own REST Proxy, which then speaks TLS." placeholder:"FILE" group:"Listeners"`
	GatewayKey          string `help:"File with the key of that certificate." placeholder:"FILE" group:"Listeners"`
	GatewayUser         string `help:"User that ell's own REST Proxy asks for." placeholder:"NAME" group:"Listeners"`
	GatewayPasswordFile string `help:"File with the password it asks for (or ELL_GATEWAY_PASSWORD)." placeholder:"FILE" group:"Listeners"`
}

// by says how a neighbour that speaks HTTP is reached. Its flags begin with
// the neighbour's name; the secrets themselves are files or variables, never flags.
type by struct {
	User         string `help:"User for ${whom}." placeholder:"NAME" group:"Neighbours"`
	PasswordFile string `help:"File with the user's password (or the variable ELL_…_PASSWORD)." placeholder:"FILE" group:"Neighbours"`
	TokenFile    string `help:"File with a bearer token for ${whom} (or the variable ELL_…_TOKEN)." placeholder:"FILE" group:"Neighbours"`
	CA           string `name:"ca" help:"File with the certificate authority of ${whom}; none: the system's." placeholder:"FILE" group:"Neighbours"`
	Cert         string `help:"File with the client's certificate for ${whom}." placeholder:"FILE" group:"Neighbours"`
	Key          string `help:"File with the key of the client's certificate." placeholder:"FILE" group:"Neighbours"`
}

type cli struct {
	settings

	Up       struct{} `cmd:"" default:"1" help:"Run everything in one process (the default)."`
	Simulate struct{} `cmd:"" help:"Run the city: trains and riders to Kafka, weather to the REST Proxy."`
	Gateway  struct{} `cmd:"" help:"Run the REST Proxy (Confluent v2 API)."`
	Stations struct{} `cmd:"" help:"Get the station tables into Kafka."`
	Process  struct{} `cmd:"" help:"Run the stream processor, exactly once."`
	Serve    struct{} `cmd:"" help:"Run the board, the API and the website."`
	Check    struct{} `cmd:"" help:"Contact every part and say what is wrong and how to mend it."`
	Health   struct{} `cmd:"" help:"Ask the role that runs here with the same settings whether it lives; containers are checked by it."`
	Cfg      struct{} `cmd:"" name:"config" help:"Print the effective settings and where each came from."`
}

// run is ell with everything outside it as arguments. It returns the exit
// code: 0 done, 1 failed, 2 called wrongly.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	var c cli
	sources := newSources(env)
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("ell"),
		kong.Description("The Chicago 'L' as an event log. Without arguments: the whole system, at http://127.0.0.1:8888.\n\n"+
			"Every flag can also be set in the environment (ELL_HTTP_ADDR for --http-addr) or in a YAML file (--config); flags win over the environment, which wins over the file, which wins over a profile."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.Resolvers(sources),
	)
	if err != nil {
		return complain(stderr, fmt.Errorf("build the command line: %w", err), 1)
	}
	sources.file(args)
	sources.named(args)
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help has been answered
	}
	if err != nil {
		return complain(stderr, errors.Join(append(sources.faults, err)...), 2)
	}
	values := sources.effective(k)
	if k.Command() == "config" {
		printSettings(stdout, values)
	}
	opts, err := c.options(os.ReadFile, sources.lookup)
	if err := errors.Join(append(sources.faults, err)...); err != nil {
		return complain(stderr, err, 2)
	}
	if k.Command() == "config" {
		return 0
	}
	opts.Log = newLogger(stderr, opts.LogLevel, opts.LogJSON)
	opts.Out = stdout
	opts.SpeedSet = slices.ContainsFunc(values, func(v setting) bool { return v.name == "speed" && v.source != "default" })
	switch k.Command() {
	case "simulate":
		err = app.Simulate(ctx, opts)
	case "gateway":
		err = app.Gateway(ctx, opts)
	case "stations":
		err = app.Stations(ctx, opts)
	case "process":
		err = app.Process(ctx, opts)
	case "serve":
		err = app.Serve(ctx, opts)
	case "check":
		err = app.Check(ctx, opts)
	case "health":
		err = app.Health(ctx, opts)
	default:
		err = app.Up(ctx, opts)
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)): // asked to stop before it had begun
		return 0
	}
	return complain(stderr, app.Explain(opts, err), 1)
}

// complain prints err, one line a fault, and returns code.
func complain(w io.Writer, err error, code int) int {
	for _, e := range faultsOf(err) {
		fmt.Fprintf(w, "ell: %v\n", e)
	}
	return code
}

// faultsOf takes joined errors apart.
func faultsOf(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || strings.HasPrefix(fmt.Sprintf("%T", err), "*fmt.") {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, faultsOf(e)...)
	}
	return out
}

func newLogger(w io.Writer, level slog.Level, json bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
