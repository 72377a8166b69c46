package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs ell with a command line, an environment and a YAML file, which may be "".
func call(t *testing.T, yaml string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if yaml != "" {
		file := filepath.Join(t.TempDir(), "ell.yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	var out, errs bytes.Buffer
	code = run(context.Background(), args, env, &out, &errs)
	return code, out.String(), errs.String()
}

// line finds the line of a setting in what `ell config` printed.
func line(t *testing.T, out, name string) string {
	t.Helper()
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, name+":") {
			return strings.Join(strings.Fields(l), " ")
		}
	}
	t.Fatalf("no setting %s in\n%s", name, out)
	return ""
}

func TestFlagsWinOverTheEnvironmentWhichWinsOverTheFile(t *testing.T) {
	yaml := "speed: 2\nseed: 3\nincidents: off\ncontrol: on\n"
	code, out, errs := call(t, yaml, []string{"ELL_SPEED=4", "ELL_SEED=5", "ELL_KAFKA_PASSWORD=hunter2"}, "config", "--speed", "6")
	if code != 0 {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{
		"speed":     `speed: "6" # flag --speed`,
		"seed":      `seed: "5" # environment ELL_SEED`,
		"http-addr": `http-addr: 127.0.0.1:8888 # default`,
	} {
		if got := line(t, out, name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := line(t, out, "incidents"); !strings.Contains(got, `"off" # file`) {
		t.Errorf("an unquoted off in YAML came out as %s", got)
	}
	if strings.Contains(out, "hunter2") || !strings.Contains(out, "# kafka-password: (hidden)") {
		t.Errorf("the password is not hidden:\n%s", out)
	}
}

func TestAProfileFillsWhatNobodyElseSays(t *testing.T) {
	code, out, errs := call(t, "registry: http://mine:8081\n", []string{"ELL_PROFILE=stack"}, "config", "--brokers", "mine:9092")
	if code != 0 {
		t.Fatal(errs)
	}
	for name, want := range map[string]string{
		"brokers":  "mine:9092 # flag --brokers",
		"registry": "http://mine:8081 # file",
		"connect":  "http://127.0.0.1:8083 # profile stack",
	} {
		if got := line(t, out, name); !strings.HasPrefix(got, name+": "+want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if strings.Contains(out, "chicago #") || !strings.Contains(out, "# postgres-password: (hidden)") {
		t.Errorf("the password is not hidden:\n%s", out)
	}
	if code, _, errs := call(t, "", nil, "config", "--profile", "stuck"); code != 2 || !strings.Contains(errs, `no profile "stuck"`) {
		t.Errorf("an unknown profile: code %d, %s", code, errs)
	}
}

func TestAllFaultsOfAConfigurationAreToldAtOnce(t *testing.T) {
	code, _, errs := call(t, "spede: 3\nseed: [1]\n", []string{"ELL_SPEEED=4"}, "config",
		"--at", "yesterday", "--speed", "1e9", "--incidents", "some", "--http-addr", "8888", "--topics", "many",
		"--registry", "http://user:secret@host", "--brokers", "localhost", "--kafka-sasl", "magic", "--commit-every", "3h", "--on-stop", "go")
	if code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if strings.Contains(errs, "secret") {
		t.Errorf("a password was printed:\n%s", errs)
	}
	for _, want := range []string{
		`"spede"`, "seed must be a single value", "ELL_SPEEED",
		"--at:", "--speed:", "--incidents:", "--http-addr:", "--topics:", "--registry:", "--brokers:", "--kafka-sasl:", "--kafka-user:", "--commit-every:", "--on-stop:",
	} {
		if n := strings.Count(errs, want); n != 1 {
			t.Errorf("%s is told %d times in\n%s", want, n, errs)
		}
	}
	if n := strings.Count(errs, "\n"); n != strings.Count(errs, "ell: ") {
		t.Errorf("not a line a fault:\n%s", errs)
	}
}

func TestNonsenseIsRefusedWithTheMend(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		args []string
		want string
	}{
		"a flag nobody knows":           {"", []string{"--fast"}, "--fast"},
		"a command nobody knows":        {"", []string{"fly"}, "fly"},
		"a speed of nothing":            {"", []string{"--speed", "0"}, "from 0.1 to 7200"},
		"a speed that is no number":     {"", []string{"--speed", "NaN"}, "from 0.1 to 7200"},
		"a time that never was":         {"", []string{"--at", "2026-02-30 07:30"}, "such as '2026-04-14 07:30'"},
		"a time before the railway":     {"", []string{"--at", "1850-01-01 00:00"}, "2000 to 2100"},
		"a file that is not there":      {"", []string{"--config", "/nonexistent.yaml"}, "there is no file /nonexistent.yaml"},
		"a file that is no YAML":        {"speed: [", nil, "ell.yaml"},
		"a password file that is gone":  {"", []string{"--kafka-password-file", "/nonexistent"}, "--kafka-password-file"},
		"a prefix with a slash":         {"", []string{"--prefix", "a/b"}, "--prefix"},
		"a host with a port":            {"", []string{"--hosts", "ell.example.com:443"}, "leave out scheme, port and path"},
		"a password in the clear":       {"", []string{"--gateway-addr", ":8082", "--gateway-user", "u", "--gateway-password-file", "cli_test.go"}, "--gateway-user"},
		"a certificate without its key": {"", []string{"--kafka-tls", "on", "--kafka-cert", "x"}, "needs its key"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := call(t, c.yaml, nil, append([]string{"config"}, c.args...)...)
			if code == 0 || !strings.Contains(errs, c.want) {
				t.Errorf("code %d, want a word of %q in\n%s", code, c.want, errs)
			}
		})
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	code, out, _ := call(t, "", nil, "--help")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"simulate", "gateway", "stations", "process", "serve", "check", "config", "--speed", "--data"} {
		if !strings.Contains(out, want) {
			t.Errorf("help has no word of %s", want)
		}
	}
}

func TestViewersControlTheCityOnlyWhereNoOthersCallIt(t *testing.T) {
	for name, c := range map[string]struct {
		settings settings
		want     bool
	}{
		"on loopback they do":                {settings{Control: "auto", HTTPAddr: "127.0.0.1:8888"}, true},
		"elsewhere they do not":              {settings{Control: "auto", HTTPAddr: "0.0.0.0:8888"}, false},
		"nor through a proxy on loopback":    {settings{Control: "auto", HTTPAddr: "127.0.0.1:8888", Hosts: "ell.example.org"}, false},
		"they do wherever the operator says": {settings{Control: "on", HTTPAddr: "0.0.0.0:8888", Hosts: "ell.example.org"}, true},
		"and do not where it says so":        {settings{Control: "off", HTTPAddr: "127.0.0.1:8888"}, false},
	} {
		var f faults
		if got := c.settings.controls(&f); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
