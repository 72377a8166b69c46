package check

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	prometheusDir = root + "/deploy/prometheus/"
	tools         = root + "/.cache/deploy/"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(tools+"promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v (make deploy-check builds it)\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesItsConfigurationAndAlertsFireWhenTheyShould(t *testing.T) {
	promtool(t, "check", "config", "--lint=all", "--lint-fatal", prometheusDir+"prometheus.yml")
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", prometheusDir+"alerts.yml")
	promtool(t, "test", "rules", prometheusDir+"alerts_test.yml")
}

// alerts are the shipped rules.
func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(prometheusDir+"alerts.yml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var out []rulefmt.Rule
	for _, g := range groups.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) == 0 {
		t.Fatal("no alerts")
	}
	return out
}

// TestEveryAlertIsExplainedAndTried: it says what happened, how bad that is and
// where the mend stands; the page has it; a test shows it firing and a test shows it quiet.
func TestEveryAlertIsExplainedAndTried(t *testing.T) {
	page, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(prometheusDir + "alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllSubmatch(page, -1) {
		anchor := strings.ReplaceAll(strings.ToLower(string(m[1])), " ", "-")
		headings[regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(anchor, "")] = true
	}
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		seen[r.Alert] = true
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		for _, k := range []string{"summary", "description"} {
			if r.Annotations[k] == "" {
				t.Errorf("%s has no %s", r.Alert, k)
			}
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], "docs/operations.md#")
		if !ok || !headings[anchor] {
			t.Errorf("%s: docs/operations.md has no section %q", r.Alert, anchor)
		}
		if !strings.Contains(string(page), r.Alert) {
			t.Errorf("%s is not on the page", r.Alert)
		}
		if !strings.Contains(string(tests), `ALERTS{alertname="`+r.Alert+`", alertstate="firing", `) {
			t.Errorf("no test shows %s firing", r.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`\bEll[A-Z]\w+`).FindAllString(string(page), -1) {
		if !seen[m] {
			t.Errorf("the page explains %s, and there is no such alert", m)
		}
	}
}

// TestAlertsTestsCanFail: an alert that never fires is noticed.
func TestAlertsTestsCanFail(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alerts.yml", "alerts_test.yml"} {
		text, err := os.ReadFile(prometheusDir + name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "alerts.yml" {
			text = regexp.MustCompile(`> 30\b`).ReplaceAll(text, []byte("> 3000"))
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := exec.Command(tools+"promtool", "test", "rules", filepath.Join(dir, "alerts_test.yml")).Run(); err == nil {
		t.Error("alerts with other thresholds pass the same tests")
	}
}
