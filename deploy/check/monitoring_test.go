package check

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// read parses a YAML file below deploy/.
func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(root + "/deploy/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestPrometheusLooksWhereTheRolesAnswer(t *testing.T) {
	var config struct {
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
			DNS     []struct {
				Names []string
				Port  int
			} `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus/prometheus.yml", &config)
	p := load(t, nil, nil, "compose.yaml")
	image := imageEnv(t)
	looked := map[string]bool{}
	for _, c := range config.ScrapeConfigs {
		for _, d := range c.DNS {
			role := d.Names[0]
			s, ok := p.Services[role]
			if !ok || c.JobName != "ell-"+role {
				t.Errorf("%s looks for %s", c.JobName, role)
				continue
			}
			looked[role] = true
			addr := *s.Environment["ELL_METRICS_ADDR"]
			if addr == "" { // the website answers itself
				addr = image["ELL_HTTP_ADDR"]
			}
			host, port, err := net.SplitHostPort(addr)
			if err != nil || host != "0.0.0.0" || port != strconv.Itoa(d.Port) {
				t.Errorf("%s is asked at port %d, and answers at %s", role, d.Port, addr)
			}
		}
	}
	for _, role := range roles {
		if !looked[role] {
			t.Errorf("nobody asks %s", role)
		}
	}
}

func TestGrafanaFindsPrometheusAndTheDashboards(t *testing.T) {
	p := load(t, nil, nil, "compose.yaml")
	grafana := p.Services["grafana"]
	mounted := map[string]string{}
	for _, v := range grafana.Volumes {
		mounted[v.Target] = v.Source
	}
	var sources struct{ Datasources []struct{ Type, URL string } }
	read(t, "grafana/provisioning/datasources/prometheus.yaml", &sources)
	u, err := url.Parse(sources.Datasources[0].URL)
	if err != nil || sources.Datasources[0].Type != "prometheus" {
		t.Fatalf("%+v: %v", sources, err)
	}
	if s, ok := p.Services[u.Hostname()]; !ok || s.Ports[0].Target != 9090 || u.Port() != "9090" {
		t.Errorf("Grafana looks for Prometheus at %s", u)
	}
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(t, "grafana/provisioning/dashboards/ell.yaml", &providers)
	dir := providers.Providers[0].Options.Path
	home := *grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if _, err := os.Stat(filepath.Join(mounted[dir], filepath.Base(home))); err != nil || filepath.Dir(home) != dir {
		t.Errorf("home is %s, dashboards are in %s, mounted from %s: %v", home, dir, mounted[dir], err)
	}
	if _, err := os.Stat(filepath.Join(mounted["/etc/grafana/provisioning"], "dashboards/ell.yaml")); err != nil {
		t.Error(err)
	}
}

// TestPrometheusIsTheVersionThatIsTried: the container's is the one built for these tests.
func TestPrometheusIsTheVersionThatIsTried(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`github.com/prometheus/prometheus v0\.([0-9])([0-9]{2})\.([0-9]+)`).FindStringSubmatch(string(mod))
	if m == nil {
		t.Fatal("go.mod names no Prometheus")
	}
	want := "prom/prometheus:v" + m[1] + "." + strings.TrimPrefix(m[2], "0") + "." + m[3]
	if image := load(t, nil, nil, "compose.yaml").Services["prometheus"].Image; !strings.HasPrefix(image, want+"@") {
		t.Errorf("the container is %s, tried is %s", image, want)
	}
}
