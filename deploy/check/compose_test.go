package check

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	root    = "../.."
	compose = root + "/deploy/compose/"
	ell     = root + "/bin/ell"
)

var roles = []string{"simulate", "gateway", "stations", "process", "serve"}

// secrets makes the passwords as a user does, in a folder of the test's.
func secrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(compose + "init")
	cmd.Env = append(os.Environ(), "ELL_SECRETS="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	return dir
}

// load reads compose files as `docker compose config` does: with the schema,
// merged, interpolated, consistent.
func load(t *testing.T, env []string, profiles []string, files ...string) *types.Project {
	t.Helper()
	var paths []string
	for _, f := range files {
		paths = append(paths, compose+f)
	}
	o, err := cli.NewProjectOptions(paths, cli.WithEnv(append(env, "ELL_SECRETS="+secrets(t))), cli.WithProfiles(profiles), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// projects are the ways in which the files are meant to be used.
func projects(t *testing.T) map[string]*types.Project {
	return map[string]*types.Project{
		"one broker":     load(t, nil, nil, "compose.yaml"),
		"three brokers":  load(t, nil, nil, "compose.yaml", "cluster.yaml"),
		"confluent-rest": load(t, []string{"REST_PROXY=http://rest-proxy:8082"}, []string{"confluent-rest"}, "compose.yaml", "cluster.yaml"),
	}
}

func TestComposeFilesHoldEverything(t *testing.T) {
	for name, p := range projects(t) {
		want := append([]string{"kafka", "registry", "postgres", "connect", "prometheus", "grafana"}, roles...)
		if name != "one broker" {
			want = append(want, "kafka-2", "kafka-3")
		}
		if name == "confluent-rest" {
			want = append(want, "rest-proxy")
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(p.Services)); !slices.Equal(got, want) {
			t.Errorf("%s: services %v, want %v", name, got, want)
		}
	}
	if one, three := load(t, nil, nil, "compose.yaml"), load(t, nil, nil, "compose.yaml", "cluster.yaml"); one.Name == three.Name {
		t.Error("one broker and three would share their volumes")
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+[0-9A-Za-z.-]*(@sha256:[0-9a-f]{64})?$`)

func TestContainersArePinnedHardenedAndOnLoopback(t *testing.T) {
	for name, p := range projects(t) {
		for _, s := range p.Services {
			bad := func(format string, args ...any) {
				t.Helper()
				t.Errorf("%s, %s: %s", name, s.Name, fmt.Sprintf(format, args...))
			}
			if s.Build == nil && !pinned.MatchString(s.Image) {
				bad("image %s is not pinned to a version", s.Image)
			}
			if s.Restart != "unless-stopped" {
				bad("restart is %q", s.Restart)
			}
			if s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				bad("may gain privileges")
			}
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					bad("port %s is open to others", port.Published)
				}
			}
			for k, v := range s.Environment {
				if strings.Contains(k, "PASSWORD") && !strings.HasSuffix(k, "_FILE") && v != nil && *v != "" && !strings.HasSuffix(k, "PATTERN") {
					bad("%s holds a secret, which docker inspect shows: use a file", k)
				}
			}
			for _, v := range s.Volumes {
				if v.Type == types.VolumeTypeBind {
					if _, err := os.Stat(v.Source); err != nil {
						bad("%v", err)
					}
					if !v.ReadOnly {
						bad("may write to %s", v.Source)
					}
				}
			}
			if s.Build == nil {
				if s.HealthCheck == nil && s.Name != "rest-proxy" {
					bad("no health check")
				}
				continue
			}
			// Ours. Its health check is the image's.
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 {
				bad("root is writable or capabilities are kept")
			}
			if len(s.DependsOn) > 0 {
				bad("depends on others, though any order works")
			}
		}
	}
}

// TestEllKnowsItsSettings has ell itself read what each container gets.
func TestEllKnowsItsSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, p := range projects(t) {
		for _, role := range roles {
			s := p.Services[role]
			if !slices.Equal(s.Command, types.ShellCommand{role}) {
				t.Errorf("%s: command of %s is %v", name, role, s.Command)
			}
			cmd := exec.Command(ell, "config")
			cmd.Env = []string{"ELL_DATA=" + t.TempDir()}
			for k, v := range s.Environment {
				if strings.HasSuffix(k, "_FILE") {
					if !slices.ContainsFunc(s.Secrets, func(x types.ServiceSecretConfig) bool { return *v == "/run/secrets/"+x.Source }) {
						t.Errorf("%s, %s: %s names %s, which is no secret of its own", name, role, k, *v)
					}
					v = &file
				}
				cmd.Env = append(cmd.Env, k+"="+*v)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s, %s: ell config: %v\n%s", name, role, err, out)
			}
			for k, v := range s.Environment {
				for host := range hosts(*v) {
					if _, ok := p.Services[host]; !ok {
						t.Errorf("%s, %s: %s names %s, which is no service", name, role, k, host)
					}
				}
			}
		}
	}
}

var address = regexp.MustCompile(`(?:^|[/,@])([a-z][a-z0-9-]*):[0-9]+`)

// hosts are the host names in a list of addresses or a URL.
func hosts(v string) map[string]bool {
	out := map[string]bool{}
	for _, m := range address.FindAllStringSubmatch(v, -1) {
		out[m[1]] = true
	}
	return out
}

func TestThreeBrokersAreOneQuorum(t *testing.T) {
	p := load(t, nil, nil, "compose.yaml", "cluster.yaml")
	ids, ports, volumes := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, name := range []string{"kafka", "kafka-2", "kafka-3"} {
		s := p.Services[name]
		env := func(k string) string { return *s.Environment[k] }
		id := env("KAFKA_NODE_ID")
		ids[id], ports[s.Ports[0].Published], volumes[s.Volumes[0].Source] = true, true, true
		if len(s.Ports) != 1 || len(s.Volumes) != 1 {
			t.Errorf("%s has ports %v and volumes %v", name, s.Ports, s.Volumes)
		}
		for _, voter := range []string{"1@kafka:9093", "2@kafka-2:9093", "3@kafka-3:9093"} {
			if !strings.Contains(env("KAFKA_CONTROLLER_QUORUM_VOTERS"), voter) {
				t.Errorf("%s does not know of %s", name, voter)
			}
		}
		if want := "INSIDE://" + name + ":19092,HOST://localhost:" + s.Ports[0].Published; env("KAFKA_ADVERTISED_LISTENERS") != want {
			t.Errorf("%s says it is at %s, want %s", name, env("KAFKA_ADVERTISED_LISTENERS"), want)
		}
		for _, k := range []string{"KAFKA_DEFAULT_REPLICATION_FACTOR", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR"} {
			if env(k) != "3" {
				t.Errorf("%s: %s is %s", name, k, env(k))
			}
		}
	}
	if len(ids) != 3 || len(ports) != 3 || len(volumes) != 3 {
		t.Errorf("brokers share an id, a port or a volume: %v %v %v", ids, ports, volumes)
	}
	for _, role := range roles {
		env := p.Services[role].Environment
		if *env["ELL_REPLICATION"] != "3" || strings.Count(*env["ELL_BROKERS"], ":19092") != 3 {
			t.Errorf("%s: %s replicas on %s", role, *env["ELL_REPLICATION"], *env["ELL_BROKERS"])
		}
	}
}

// TestBrokersAreSetAsWithoutContainers compares with deploy/local, which the
// tests on real brokers run: a variable misspelt here would be passed over by Kafka in silence.
func TestBrokersAreSetAsWithoutContainers(t *testing.T) {
	text, err := os.ReadFile(root + "/deploy/local/conf/kafka.properties")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"KAFKA_INTER_BROKER_LISTENER_NAME": true, "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": true, "KAFKA_HEAP_OPTS": true} // of several listeners, and the image's own
	for line := range strings.Lines(string(text)) {
		if key, _, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			known["KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = true
		}
	}
	env := load(t, nil, nil, "compose.yaml").Services["kafka"].Environment
	for k := range env {
		if strings.HasPrefix(k, "KAFKA_") && !known[k] {
			t.Errorf("%s is not set in deploy/local", k)
		}
	}
	for k := range known {
		if _, ok := env[k]; !ok && !strings.Contains(k, "NUM_PARTITIONS") {
			t.Errorf("%s is set in deploy/local only", k)
		}
	}
}

func TestInitMakesPasswordsOnceAndShowsNone(t *testing.T) {
	dir := secrets(t)
	before, err := os.ReadFile(filepath.Join(dir, "postgres_password"))
	if err != nil || len(before) < 24 {
		t.Fatalf("password %q: %v", before, err)
	}
	cmd := exec.Command(compose + "init")
	cmd.Env = append(os.Environ(), "ELL_SECRETS="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("a second time: %v %s", err, out)
	}
	after, err := os.ReadFile(filepath.Join(dir, "postgres_password"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the password changed: %v", err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 && info.Mode().Perm() != 0o755 { // the test's own folder was there before
		t.Errorf("folder is %v: %v", info.Mode(), err)
	}
}
