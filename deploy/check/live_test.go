package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestQueriesFindDataInARunningSystem starts the roles as compose does, each a
// process of its own, and a real Prometheus with the shipped configuration and
// alerts beside them. Whatever dashboards and alerts ask for must be exported,
// every panel must find data, nothing may be exported that nobody looks at, and
// a role that dies must be noticed.
func TestQueriesFindDataInARunningSystem(t *testing.T) {
	s := startSystem(t)
	p, panels := s.prometheus, panelQueries(t)
	var empty []string
	if !eventually(90*time.Second, func() bool { // until trains have followed one another on every line
		empty = nil
		for _, q := range panels {
			if found, err := p.query(q.expr); err != nil || len(found) == 0 {
				empty = append(empty, fmt.Sprintf("%s: %s: %d series, %v", q.where, q.expr, len(found), err))
			}
		}
		return len(empty) == 0
	}) {
		t.Errorf("panels without data:\n%s", strings.Join(empty, "\n"))
	}
	exported, used := families{}, map[string]bool{}
	for _, addrs := range s.targets {
		for _, addr := range addrs {
			scrape(t, addr, exported)
		}
	}
	if up := p.value(t, `sum(up{job=~"ell-.+"})`); up != float64(s.count()) {
		t.Errorf("%v of %d roles answer", up, s.count())
	}
	t.Run("what is asked for is exported", func(t *testing.T) {
		queries := slices.Clone(panels)
		for _, r := range alerts(t) {
			queries = append(queries, query{"alert " + r.Alert, r.Expr})
		}
		for _, q := range queries {
			for _, fault := range exported.check(q, used) {
				t.Errorf("%s: %s: %s", q.where, q.expr, fault)
			}
		}
		t.Logf("%d queries of panels and alerts read %d metrics", len(queries), len(used))
	})
	t.Run("what is exported is looked at", func(t *testing.T) {
		for name := range exported {
			base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
			if strings.HasPrefix(name, "ell_") && !used[name] && !used[base+"_bucket"] {
				t.Errorf("no panel and no alert reads %s", name)
			}
		}
	})
	t.Run("what flows is seen flowing", func(t *testing.T) {
		for _, expr := range []string{
			`sum(rate(ell_city_events_total[20s]))`, `max(rate(ell_topic_offsets_total{topic="org.chicago.cta.arrivals.by_line.v1"}[20s]))`,
			`sum(rate(ell_stage_records_in_total{stage="lines"}[20s]))`, `sum(rate(ell_stream_deliveries_total[20s]))`,
			`sum(increase(ell_gateway_records_total[20s]))`, `ell_viewers`, `sum(ell_line_trains)`, `min(ell_log_dir_free_bytes)`,
			`histogram_quantile(0.99, sum by (le) (rate(ell_event_latency_seconds_bucket[20s])))`,
		} {
			if !eventually(20*time.Second, func() bool { return p.value(t, expr) > 0 }) {
				t.Errorf("%s is %v", expr, p.value(t, expr))
			}
		}
	})
	t.Run("alerts are evaluated, and quiet but for what is wrong", func(t *testing.T) {
		for name, state := range p.alerts(t) {
			switch name {
			case "EllConnectorFailed": // the second station source has no Connect to talk to
			case "EllDiskFilling", "EllDiskNearFull": // this machine's own disk
			default:
				if state == "firing" { // on a busy machine a stage may lag for a moment
					t.Errorf("%s is %s", name, state)
				}
			}
		}
		if p.alerts(t)["EllConnectorFailed"] == "" {
			t.Error("nobody notices a connector without Connect")
		}
	})
	t.Run("a role that dies is noticed", func(t *testing.T) {
		if err := s.process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if !eventually(20*time.Second, func() bool { return p.alerts(t)["EllRoleDown"] != "" }) {
			t.Errorf("alerts: %v", p.alerts(t))
		}
	})
}

// TestOneProcessTellsWhatItsRolesTell: dashboards work for `ell` without arguments too.
func TestOneProcessTellsWhatItsRolesTell(t *testing.T) {
	addr := freeAddr(t)
	start(t, "ell", ell, "--data", t.TempDir(), "--speed", "60", "--http-addr", addr, "--kafka-addr", freeAddr(t), "--registry-addr", freeAddr(t), "--gateway-addr", freeAddr(t))
	view(t, addr)
	used := map[string]bool{}
	var faults []string
	ok := eventually(40*time.Second, func() bool {
		got := families{}
		scrape(t, addr, got)
		faults = nil
		for _, q := range panelQueries(t) {
			for _, f := range got.check(q, used) {
				if !strings.Contains(f, "ell_connector_running") { // only with Kafka Connect
					faults = append(faults, q.where+": "+f)
				}
			}
		}
		return len(faults) == 0
	})
	if !ok {
		t.Error(strings.Join(faults, "\n"))
	}
}
