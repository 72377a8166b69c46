package secure

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ell/test/system"
)

// Run is the suite: roles with the rights of the table and no others, what
// they say without one of them, what they say to wrong secrets, and that no
// secret shows.
func (s *Suite) Run() {
	s.sub("each role works with the rights of docs/security.md and no others", s.exactRights)
	s.sub("one process with all rights works", s.onProcess)
	s.sub("a right that is missing is named", s.missingRights)
	s.sub("what is wrong with a connection is said", s.wrongConnections)
	s.sub("ell config and ell check work and show no secret", s.showing)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaks("what the commands said", s.said.String())
	s.t.Logf("%d bytes of output at --log debug hold none of %d secrets", s.said.Len(), len(s.secrets))
}

// sub runs f as a subtest.
func (s *Suite) sub(name string, f func()) {
	outer := s.t
	outer.Run(name, func(t *testing.T) {
		s.t = t
		defer func() { s.t = outer }()
		f()
	})
}

func (s *Suite) exactRights() {
	var roles []*process
	for _, role := range []string{"serve", "simulate", "gateway", "stations"} {
		roles = append(roles, s.start(s.args(role), nil))
	}
	for _, p := range roles {
		p.says(s.t, "msg=waiting", "topics are missing", "may not create them")
	}
	roles = append(roles, s.start(s.args("process"), nil)) // who may
	s.flows(roles)
	for _, p := range roles {
		p.stop(s.t)
	}
}

func (s *Suite) onProcess() {
	args := slices.DeleteFunc(s.args("up"), func(a string) bool { return a == "https://"+s.at.Gateway || a == "--rest-proxy" })
	p := s.start(args, nil)
	s.flows([]*process{p})
	p.stop(s.t)
}

// flows waits until trains, weather and entries are on the page, and looks for
// secrets wherever one can look.
func (s *Suite) flows(roles []*process) {
	s.t.Helper()
	site := "http://" + s.at.HTTP
	system.Within(s.t, 4*time.Minute, func() error {
		for _, p := range roles {
			select {
			case <-p.done:
				s.t.Fatalf("%s has ended:\n%s", p.Args[1], tail(p.out.String()))
			default:
			}
		}
		if err := system.Get(site+"/readyz", nil); err != nil {
			return err
		}
		for _, page := range []string{"trains", "weather", "entries", "stations"} {
			var doc any
			if err := system.Get(site+"/api/v1/"+page, &doc); err != nil {
				return err
			}
			text, err := json.Marshal(doc)
			if err != nil {
				return err
			}
			if len(text) < 60 {
				return fmt.Errorf("%s: %s", page, text)
			}
		}
		return nil
	})
	for _, path := range []string{"/", "/pipeline", "/metrics", "/readyz", "/api/v1/system", "/api/v1/pipeline", "/api/v1/topics", "/api/v1/topics/org.chicago.cta.trains.v1", "/api/v1/openapi.json"} {
		text, err := system.Page(site + path)
		if err != nil || len(text) == 0 {
			s.t.Errorf("%s: %v", path, err)
		}
		s.leaks(path, text)
	}
	for _, p := range roles {
		s.leaks("the command line of "+p.Args[1], p.commandLine())
		if addr := s.metrics(p.Args[1]); addr != "" {
			text, err := system.Page("http://" + addr + "/metrics")
			if err != nil || !strings.Contains(text, "ell_") {
				s.t.Errorf("metrics of %s: %v", p.Args[1], err)
			}
			s.leaks("metrics of "+p.Args[1], text)
		}
	}
}

func (s *Suite) missingRights() {
	n := 0
	for role, rights := range s.rights {
		if role == "creator" || role == "check" {
			continue
		}
		for _, r := range rights {
			user := "ell-" + role
			Revoke(s.t.Context(), s.t, s.admin, user, r)
			p := s.start(s.args(role), nil)
			p.says(s.t, r.expected()...)
			p.kill()
			Grant(s.t.Context(), s.t, s.admin, user, r)
			n++
		}
	}
	s.t.Logf("%d rights were taken away, one at a time, and named", n)
}

// expected is what a role says without the right.
func (r Right) expected() []string {
	kind, _ := strings.CutSuffix(r.Resource, " that begin with")
	switch {
	case kind == "transactional ids":
		return []string{"allow Write and Describe on transactional ids"}
	case kind == "group":
		return []string{"allow Read on groups"}
	case r.Role == "every role":
		return []string{"allow Describe and DescribeConfigs on topics", r.Name}
	}
	out := []string{"lacks", r.Name}
	for _, op := range r.Operations {
		out = append(out, strings.ToUpper(op.String()[:1])+strings.ToLower(op.String()[1:])+" on ")
	}
	return out
}

func (s *Suite) wrongConnections() {
	other := NewAuthority(s.t)
	s.file("wrong", "not-the-password")
	plain := httptest.NewServer(http.NotFoundHandler())
	s.t.Cleanup(plain.Close)
	denied := func(user string) []string {
		if s.Silent {
			return []string{"msg=waiting", "hangs up on user", "--kafka-sasl"}
		}
		return []string{"SASL_AUTHENTICATION_FAILED", "do not take user " + strconv.Quote(user)}
	}
	plaintext := []string{"plaintext connection speaking to a tls endpoint"}
	if s.Silent {
		plaintext = []string{"msg=waiting", "broker closed the connection"}
	}
	for _, c := range []struct {
		name, role string
		flags      []string
		want       []string
	}{
		{"a wrong password for Kafka", "process", []string{"--kafka-password-file", s.path("wrong")}, denied("ell-process")},
		{"a user that Kafka does not know", "serve", []string{"--kafka-user", "nobody"}, denied("nobody")},
		{"another authority for Kafka", "gateway", []string{"--kafka-ca", other.CAFile}, []string{"unknown authority", "--kafka-ca"}},
		{"Kafka without TLS", "stations", []string{"--kafka-tls", "off", "--kafka-ca", ""}, plaintext},
		{"a wrong user for the registry", "simulate", []string{"--registry-user", "somebody"}, []string{"401", "--registry-user"}},
		{"another authority for the registry", "simulate", []string{"--registry-ca", other.CAFile}, []string{"unknown authority", "--registry-ca"}},
		{"a registry that is plain", "simulate", []string{"--registry", "https://" + plain.Listener.Addr().String()}, []string{"HTTP response to HTTPS", "whether it speaks TLS"}},
	} {
		s.t.Log(c.name)
		p := s.start(append(s.args(c.role), c.flags...), nil)
		p.says(s.t, c.want...)
		p.kill()
	}
	// The weather device waits, and says why.
	gateway := s.start(s.args("gateway"), nil)
	for _, c := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"a wrong password for the REST Proxy", []string{"--rest-proxy-password-file", s.path("wrong")}, []string{"does not take the weather", "401", "--rest-proxy-user"}},
		{"another authority for the REST Proxy", []string{"--rest-proxy-ca", other.CAFile}, []string{"does not take the weather", "unknown authority", "--rest-proxy-ca"}},
	} {
		s.t.Log(c.name)
		p := s.start(append(s.args("simulate"), append(c.flags, "--speed", "3600")...), nil)
		p.says(s.t, c.want...)
		p.stop(s.t)
	}
	gateway.stop(s.t)
}

func (s *Suite) showing() {
	serve, gateway := s.start(s.args("serve"), nil), s.start(s.args("gateway"), nil)
	gateway.says(s.t, "REST Proxy  https://")
	system.Within(s.t, 60*time.Second, func() error { return system.Get("http://"+s.at.HTTP+"/readyz", nil) })
	check := s.start(s.args("check"), nil)
	<-check.done
	out := check.out.String()
	s.t.Logf("ell check:\n%s", out)
	for _, want := range []string{"ok    Kafka", "ok    topics", "ok    schema registry", "ok    REST Proxy", "ok    website"} {
		if !strings.Contains(out, want) {
			s.t.Errorf("ell check does not say %q", want)
		}
	}
	if check.ProcessState.ExitCode() != 0 {
		s.t.Errorf("ell check ended with %v", check.ProcessState)
	}
	config := s.start(append([]string{"config"}, s.args("up")[1:]...), nil)
	<-config.done
	if out := config.out.String(); !strings.Contains(out, "registry-password: (hidden)") || config.ProcessState.ExitCode() != 0 {
		s.t.Errorf("ell config: %v\n%s", config.ProcessState, out)
	}
	serve.stop(s.t)
	gateway.stop(s.t)
}
