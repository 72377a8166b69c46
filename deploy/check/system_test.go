package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"go.yaml.in/yaml/v3"
)

// system is what runs while the queries are tried.
type system struct {
	prometheus prometheus
	targets    map[string][]string // job -> addresses
	process    *exec.Cmd
}

func (s *system) count() (n int) {
	for _, addrs := range s.targets {
		n += len(addrs)
	}
	return n
}

// startSystem starts each role as a process of its own on a broker and a
// registry of the test's, gives them something to do, and a Prometheus that scrapes them.
func startSystem(t *testing.T) *system {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	s := &system{targets: map[string][]string{}}
	gateway, website := freeAddr(t), freeAddr(t)
	role := func(name string, args ...string) *exec.Cmd {
		metrics := freeAddr(t)
		if name == "serve" {
			metrics = website
		}
		s.targets["ell-"+name] = append(s.targets["ell-"+name], metrics)
		return start(t, name, ell, append([]string{
			name, "--brokers", kafka.ListenAddrs()[0], "--registry", registry.URL(), "--data", t.TempDir(), "--topics", "shared", "--speed", "120",
			"--http-addr", website, "--gateway-addr", gateway, "--metrics-addr", metrics, "--instance", name + strconv.Itoa(len(s.targets["ell-"+name])),
		}, args...)...)
	}
	role("gateway")
	role("simulate")
	role("stations")
	role("stations", "--postgres", "postgres://nobody@127.0.0.1:1/nothing", "--connect", "http://127.0.0.1:1")
	s.process = role("process")
	role("process")
	role("serve")
	s.prometheus = startPrometheus(t, s.targets)
	view(t, website)
	if !eventually(30*time.Second, func() bool { // an answer that is no success, for the gateway's statuses
		resp, err := http.Get("http://" + gateway + "/topics/nowhere")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusNotFound
	}) {
		t.Fatal("the gateway does not answer")
	}
	return s
}

// view follows the website's stream as a browser does until the test ends.
func view(t *testing.T, website string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+website+"/api/v1/stream", nil)
			if err != nil {
				return
			}
			req.Header.Set("Accept", "text/event-stream")
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body) // until one of the two ends it
				resp.Body.Close()
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// scrape adds what an address exports.
func scrape(t *testing.T, addr string, to families) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return // not there yet: the caller sees that its metrics are missing
	}
	defer resp.Body.Close()
	text := expfmt.NewTextParser(model.UTF8Validation)
	all, err := text.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	for name, f := range all {
		for _, m := range f.GetMetric() {
			ls := map[string]string{}
			for _, l := range m.GetLabel() {
				ls[l.GetName()] = l.GetValue()
			}
			if f.GetType() != dto.MetricType_HISTOGRAM {
				to.add(name, ls)
				continue
			}
			to.add(name+"_sum", ls)
			to.add(name+"_count", ls)
			for _, b := range m.GetHistogram().GetBucket() {
				ls["le"] = fmt.Sprint(b.GetUpperBound())
				to.add(name+"_bucket", ls)
			}
		}
	}
}

// prometheus is the address of one.
type prometheus string

// startPrometheus runs a real one on the shipped configuration and rules. Only
// where the roles are, and how often they are asked, differs.
func startPrometheus(t *testing.T, targets map[string][]string) prometheus {
	t.Helper()
	text, err := os.ReadFile(prometheusDir + "prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs(prometheusDir + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	doc["rule_files"] = []string{rules}
	doc["global"] = map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"}
	left := len(targets)
	for _, c := range doc["scrape_configs"].([]any) {
		job := c.(map[string]any)
		at := []string{addr}
		if job["job_name"] != "prometheus" {
			at = targets[job["job_name"].(string)]
			left--
		}
		if len(at) == 0 {
			t.Errorf("Prometheus looks for %v, which does not run", job["job_name"])
		}
		delete(job, "dns_sd_configs")
		job["static_configs"] = []any{map[string]any{"targets": at}}
	}
	if left != 0 {
		t.Errorf("%d kinds of roles are not looked for by Prometheus", left)
	}
	if text, err = yaml.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "prometheus", tools+"prometheus", "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+addr)
	p := prometheus(addr)
	if !eventually(30*time.Second, func() bool { _, err := p.query("vector(1)"); return err == nil }) {
		t.Fatal("Prometheus does not answer")
	}
	return p
}

func (p prometheus) get(path string, into any) error {
	resp, err := http.Get("http://" + string(p) + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return json.NewDecoder(bytes.NewReader(answer.Data)).Decode(into)
}

// query evaluates an expression that yields series.
func (p prometheus) query(expr string) (model.Vector, error) {
	var data struct{ Result model.Vector }
	err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return data.Result, err
}

// value is the value of an expression that yields one series; -1: it yields none.
func (p prometheus) value(t *testing.T, expr string) float64 {
	t.Helper()
	v, err := p.query(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	if len(v) != 1 {
		return -1
	}
	return float64(v[0].Value)
}

// alerts are those pending or firing; a rule that cannot be evaluated is a fault.
func (p prometheus) alerts(t *testing.T) map[string]string {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, State, Health, LastError string
			}
		}
	}
	if err := p.get("/api/v1/rules", &data); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			if r.Health == "err" {
				t.Errorf("%s cannot be evaluated: %s", r.Name, r.LastError)
			}
			if r.State != "inactive" {
				out[r.Name] = r.State
			}
		}
	}
	return out
}
