package secure

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/test/system"
)

// Suite runs roles on a protected cluster.
type Suite struct {
	*Cluster
	t       *testing.T
	binary  string
	admin   *kgo.Client
	rights  map[string][]Right
	secrets Secrets
	at      system.Ports
	dir     string
	url     string            // of the registry
	env     map[string]string // of every role
	cert    [2]string         // of the gateway, with its key

	mu   sync.Mutex // guards said
	said bytes.Buffer
}

// NewSuite makes users with the rights of the table, and a registry.
func NewSuite(t *testing.T, binary string, c *Cluster, secrets Secrets) *Suite {
	t.Helper()
	s := &Suite{
		Cluster: c, t: t, binary: binary, admin: c.Client(t), rights: Table(t), secrets: secrets, at: system.FreePorts(t), dir: t.TempDir(),
		env: map[string]string{
			"ELL_GATEWAY_PASSWORD": secrets.New("gateway"), "ELL_CONNECT_TOKEN": secrets.New("connect"), "ELL_POSTGRES_PASSWORD": secrets.New("postgres"),
		},
	}
	password, token := secrets.New("registry password"), secrets.New("registry token")
	s.url = Registry(t, c.Authority, password, token)
	s.env["ELL_REGISTRY_PASSWORD"] = password
	s.file("registry-token", token)
	s.file("rest-proxy-password", s.env["ELL_GATEWAY_PASSWORD"])
	s.cert[0], s.cert[1] = c.Authority.Issue("gateway")
	all := []Right{}
	for role, rights := range s.rights {
		if role != "creator" {
			s.user(role, rights)
		}
		all = append(all, rights...)
	}
	Grant(t.Context(), t, s.admin, "ell-process", s.rights["creator"]...)
	s.user("up", all)
	return s
}

// user makes the user of a role.
func (s *Suite) user(role string, rights []Right) {
	s.t.Helper()
	password := s.secrets.New("kafka " + role)
	s.AddUser(s.t.Context(), "ell-"+role, password)
	s.file("kafka-"+role, password)
	Grant(s.t.Context(), s.t, s.admin, "ell-"+role, rights...)
}

// file puts a secret into a file of the suite's folder.
func (s *Suite) file(name, secret string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(secret+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Suite) path(name string) string { return filepath.Join(s.dir, name) }

// args is the command line of a role.
func (s *Suite) args(role string) []string {
	registry := []string{"--registry-user", "ell"}
	if role == "serve" {
		registry = []string{"--registry-token-file", s.path("registry-token")}
	}
	return slices.Concat([]string{
		role, "--log", "debug", "--data", s.path("data"), "--speed", "60", "--instance", "one",
		"--http-addr", s.at.HTTP, "--gateway-addr", s.at.Gateway, "--metrics-addr", s.metrics(role),
		"--brokers", s.Broker, "--kafka-tls", "on", "--kafka-ca", s.Authority.CAFile,
		"--kafka-sasl", strings.ToLower(s.Mechanism), "--kafka-user", "ell-" + role, "--kafka-password-file", s.path("kafka-" + role),
		"--registry", s.url, "--registry-ca", s.Authority.CAFile,
		"--gateway-cert", s.cert[0], "--gateway-key", s.cert[1], "--gateway-user", "device",
		"--rest-proxy", "https://" + s.at.Gateway, "--rest-proxy-ca", s.Authority.CAFile,
		"--rest-proxy-user", "device", "--rest-proxy-password-file", s.path("rest-proxy-password"),
	}, registry)
}

// metrics is where a role without a website tells them: the broker and
// registry addresses of the suite's ports are free, as others stand in.
func (s *Suite) metrics(role string) string {
	switch role {
	case "simulate":
		return s.at.Kafka
	case "process":
		return s.at.Registry
	}
	return ""
}

// process is a running role.
type process struct {
	*exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended
}

// output is what a role has said; all of it is kept to look for secrets.
type output struct {
	s  *Suite
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.s.said.Write(p)
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts the binary; further settings win over those before.
func (s *Suite) start(args []string, env map[string]string) *process {
	s.t.Helper()
	p := &process{Cmd: exec.CommandContext(s.t.Context(), s.binary, args...), out: &output{s: s}, done: make(chan struct{})}
	p.Env = os.Environ()
	merged := maps.Clone(s.env)
	maps.Copy(merged, env)
	if slices.Contains(args, "--registry-token-file") {
		delete(merged, "ELL_REGISTRY_PASSWORD")
	}
	for k, v := range merged {
		p.Env = append(p.Env, k+"="+v)
	}
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.Wait() // how it ended is in ProcessState
	}()
	s.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.Process.Kill() // one that has ended needs none
	<-p.done
}

// stop asks the process to end and waits.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.Process.Signal(os.Interrupt) // as in kill
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.Process.Signal(syscall.SIGQUIT) // where every goroutine stands goes to the output
		<-p.done
		t.Errorf("%s did not stop:\n%s", p.Args[1], tail(p.out.String()))
	}
}

// says waits until the process has said all of words.
func (p *process) says(t *testing.T, words ...string) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		out := p.out.String()
		missing := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(out, w) })
		switch {
		case len(missing) == 0:
			return
		case ended || time.Now().After(end):
			t.Fatalf("%s never said %q:\n%s", p.Args[1], missing, tail(out))
		}
		time.Sleep(20 * time.Millisecond) // another process is waited for
	}
}

func tail(s string) string { return "…" + s[max(0, len(s)-4000):] }

// leaks fails for every secret that shows in text, also as it travels in a
// header of basic authentication.
func (s *Suite) leaks(where, text string) {
	s.t.Helper()
	for purpose, secret := range s.secrets {
		forms := []string{secret}
		for _, user := range []string{"ell", "device"} {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
		}
		for _, form := range forms {
			if i := strings.Index(text, form); i >= 0 {
				s.t.Errorf("the secret %q shows in %s: %.200s", purpose, where, text[max(0, i-100):])
			}
		}
	}
}

// commandLine is what others see of a process.
func (p *process) commandLine() string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Process.Pid))
	if err != nil {
		return ""
	}
	return string(b)
}
