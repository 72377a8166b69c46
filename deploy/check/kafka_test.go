package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKafkasImageTakesTheBrokersSettings runs what apache/kafka's image runs
// before the broker: Kafka's own code, which makes a configuration of the environment,
// reads it as the broker does and formats the disk. Only the disk is another.
func TestKafkasImageTakesTheBrokersSettings(t *testing.T) {
	jars, err := filepath.Abs(root + "/.cache/stack/kafka")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(jars); err != nil {
		t.Fatalf("%v: run this by make deploy-check, which fetches Kafka", err)
	}
	if found, err := filepath.Glob(jars + "/kafka_2.13-*.jar"); err != nil || len(found) != 1 ||
		!strings.HasPrefix(load(t, nil, nil, "compose.yaml").Services["kafka"].Image, "apache/kafka:"+strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "kafka_2.13-"), ".jar")+"@") {
		t.Errorf("the image is another version than %v: %v", found, err)
	}
	for name, at := range map[string]struct {
		files   []string
		service string
	}{
		"one broker":                {[]string{"compose.yaml"}, "kafka"},
		"the second of three":       {[]string{"compose.yaml", "cluster.yaml"}, "kafka-2"},
		"a setting that it refuses": {[]string{"compose.yaml"}, "kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defaults, none, final := t.TempDir(), t.TempDir(), t.TempDir()
			for _, f := range []string{"server.properties", "log4j2.yaml", "tools-log4j2.yaml"} {
				if err := os.WriteFile(filepath.Join(defaults, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("java", "-cp", jars+"/*", "kafka.docker.KafkaDockerWrapper", "setup",
				"--default-configs-dir", defaults, "--mounted-configs-dir", none, "--final-configs-dir", final)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			want := map[string]string{}
			for k, v := range load(t, nil, nil, at.files...).Services[at.service].Environment {
				value := *v
				switch k {
				case "KAFKA_LOG_DIRS":
					value = t.TempDir()
				case "KAFKA_NODE_ID":
					if strings.HasPrefix(name, "a setting") {
						value = "7" // none of the quorum
					}
				}
				cmd.Env = append(cmd.Env, k+"="+value)
				if key, ok := strings.CutPrefix(k, "KAFKA_"); ok && key != "HEAP_OPTS" {
					want[strings.ToLower(strings.ReplaceAll(key, "_", "."))] = value
				}
			}
			out, err := cmd.CombinedOutput()
			if strings.HasPrefix(name, "a setting") {
				if err == nil {
					t.Errorf("was taken:\n%s", out)
				}
				return
			}
			if err != nil || !strings.Contains(string(out), "name='transaction.version', featureLevel=2") {
				t.Fatalf("%v\n%s", err, out)
			}
			text, err := os.ReadFile(filepath.Join(final, "server.properties"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
				if want[k] == v {
					delete(want, k)
				}
			}
			if len(want) > 0 {
				t.Errorf("did not become the broker's: %v", want)
			}
		})
	}
}
