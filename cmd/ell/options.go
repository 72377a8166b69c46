package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"ell/internal/access"
	"ell/internal/app"
	"ell/internal/cta"
	"ell/internal/event"
)

// faults gathers what is wrong with the settings, so that all is told at once.
type faults struct{ errs []error }

func (f *faults) add(flag, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
}

// options checks every setting and turns them into the options of the roles.
// It reads password files and contacts nobody.
func (s settings) options(readFile func(string) ([]byte, error), getenv func(string) (string, bool)) (app.Options, error) {
	var f faults
	o := app.Options{
		Data:          s.Data,
		LogJSON:       s.LogFmt == "json",
		HTTPAddr:      f.addr("http-addr", s.HTTPAddr),
		KafkaAddr:     f.addr("kafka-addr", s.KafkaAddr),
		RegistryAddr:  f.addr("registry-addr", s.RegistryAddr),
		GatewayAddr:   f.addr("gateway-addr", s.GatewayAddr),
		Hosts:         list(s.Hosts),
		Brokers:       f.brokers(list(s.Brokers)),
		Names:         event.Names{Prefix: f.prefix(s.Prefix), Layout: event.Layout(f.oneOf("topics", s.Topics, string(event.PerStation), string(event.Shared)))},
		Instance:      f.instance(s.Instance),
		Incidents:     f.oneOf("incidents", s.Incidents, "off", "light", "normal", "heavy"),
		Speed:         f.number("speed", s.Speed, event.MinSpeed, event.MaxSpeed),
		Seed:          f.integer("seed", s.Seed, -1<<62, 1<<62),
		MaxViewers:    int(f.integer("max-viewers", s.MaxViewers, 1, 1_000_000)),
		MaxPerAddress: int(f.integer("max-viewers-per-address", s.MaxPerAddress, 0, 1_000_000)),
		Leave:         f.oneOf("on-stop", s.OnStop, "keep", "leave") == "leave",
		CommitEvery:   f.duration("commit-every", s.CommitEvery, time.Millisecond, 2*time.Second),
		KafkaSASL:     s.KafkaSASL, KafkaUser: s.KafkaUser,
	}
	r := secrecy{&f, readFile, getenv}
	o.Registry = r.neighbour("registry", s.Registry, s.RegistryBy)
	o.RESTProxy = r.neighbour("rest-proxy", s.RESTProxy, s.RESTProxyBy)
	r.stations(s, &o)
	o.Protect = access.Listener{CertFile: s.GatewayCert, KeyFile: s.GatewayKey, User: s.GatewayUser, Password: r.secret("gateway-password", s.GatewayPasswordFile)}
	f.check("gateway-*", o.Protect.Validate())
	if o.Protect.Password != "" && o.Protect.CertFile == "" && !onLoopback(s.GatewayAddr) {
		f.add("gateway-user", "its password would travel in the clear: set --gateway-cert and --gateway-key, or listen on loopback")
	}
	for _, h := range o.Hosts {
		if strings.ContainsAny(h, "/:") && net.ParseIP(strings.Trim(h, "[]")) == nil {
			f.add("hosts", "%q is not a host name: leave out scheme, port and path", h)
		}
	}
	o.KafkaTLS = s.kafkaTLS(&f)
	o.KafkaPassword = r.secret("kafka-password", s.KafkaPasswordFile)
	if s.MetricsAddr != "" {
		o.MetricsAddr = f.addr("metrics-addr", s.MetricsAddr)
	}
	if s.DebugAddr != "" {
		o.DebugAddr = f.addr("debug-addr", s.DebugAddr)
	}
	f.oneOf("log-format", s.LogFmt, "text", "json")
	if err := o.LogLevel.UnmarshalText([]byte(s.Log)); err != nil {
		f.add("log", "%q is none of debug, info, warn, error", s.Log)
	}
	o.Replication = -1
	if s.Replication != "auto" {
		o.Replication = int16(f.integer("replication", s.Replication, 1, 9)) //nolint:gosec // bounded by the check
	}
	if s.Retention != "auto" {
		o.Retention = f.duration("retention", s.Retention, time.Minute, 10*365*24*time.Hour)
	}
	if s.RetentionBytes != "auto" {
		o.RetentionBytes = f.integer("retention-bytes", s.RetentionBytes, 1, 1<<50)
	}
	o.Start = f.at(s.At)
	o.Control = s.controls(&f)
	if s.KafkaSASL != "" {
		f.oneOf("kafka-sasl", s.KafkaSASL, "plain", "scram-sha-256", "scram-sha-512")
		if s.KafkaUser == "" {
			f.add("kafka-user", "--kafka-sasl needs a user")
		}
	}
	if o.Data == "" {
		dir, err := stateDir()
		if err != nil {
			f.add("data", "%v: name a folder", err)
		}
		o.Data = dir
	}
	return o, errors.Join(f.errs...)
}

func (s settings) controls(f *faults) bool {
	switch f.oneOf("control", s.Control, "auto", "on", "off") {
	case "on":
		return true
	case "off":
		return false
	}
	// One who has a name for others is called by them through a proxy.
	return onLoopback(s.HTTPAddr) && len(list(s.Hosts)) == 0
}

// onLoopback says whether who listens at addr is heard on this machine alone.
func onLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// stateDir is where a program keeps its state on this platform.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ell"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	switch runtime.GOOS {
	case "windows", "darwin", "ios":
		dir, err := os.UserConfigDir() // %AppData%, ~/Library/Application Support
		return filepath.Join(dir, "ell"), err
	default:
		return filepath.Join(home, ".local", "state", "ell"), nil
	}
}

func list(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func (f *faults) oneOf(flag, v string, words ...string) string {
	if !slices.Contains(words, v) {
		f.add(flag, "%q is none of %s", v, strings.Join(words, ", "))
	}
	return v
}

func (f *faults) number(flag, v string, least, most float64) float64 {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= least && n <= most) {
		f.add(flag, "%q is not a number from %v to %v", v, least, most)
	}
	return n
}

func (f *faults) integer(flag, v string, least, most int64) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most {
		f.add(flag, "%q is not a whole number from %d to %d", v, least, most)
		return least
	}
	return n
}

func (f *faults) duration(flag, v string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		f.add(flag, "%q is not a duration from %v to %v, such as 90s or 24h", v, least, most)
	}
	return d
}

func (f *faults) addr(flag, v string) string {
	_, port, err := net.SplitHostPort(v)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		f.add(flag, "%q is not an address such as 127.0.0.1:8888", v)
	}
	return v
}

func (f *faults) brokers(vs []string) []string {
	for _, v := range vs {
		if host, port, err := net.SplitHostPort(v); err != nil || host == "" || port == "" {
			f.add("brokers", "%q is not HOST:PORT", v)
		}
	}
	return vs
}

var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

func (f *faults) prefix(v string) string {
	if !legalName.MatchString(v) {
		f.add("prefix", "%q holds other characters than letters, digits, dots, dashes and underscores", v)
	}
	return v
}

func (f *faults) instance(v string) string {
	if v == "" {
		host, err := os.Hostname()
		if err != nil || !legalName.MatchString(host) {
			host = "ell"
		}
		return host
	}
	if !legalName.MatchString(v) {
		f.add("instance", "%q holds other characters than letters, digits, dots, dashes and underscores", v)
	}
	return v
}

// at reads a time in Chicago; "now" is the present.
func (f *faults) at(v string) time.Time {
	if v == "now" {
		return time.Now().Truncate(time.Second)
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(form, v, cta.Location()); err == nil {
			if y := t.Year(); y < 2000 || y > 2100 {
				break
			}
			return t
		}
	}
	f.add("at", "%q is not a time in Chicago from 2000 to 2100, such as '2026-04-14 07:30', nor 'now'", v)
	return time.Time{}
}
