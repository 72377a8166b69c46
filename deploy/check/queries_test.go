package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// query is a question that somebody asks of the metrics.
type query struct{ where, expr string }

// dashboard is what is read of a dashboard's JSON.
type dashboard struct {
	UID, Title string
	Panels     []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ X, Y, W, H int }
		FieldConfig              struct{ Defaults struct{ Unit string } }
		Targets                  []struct{ Expr, RefID string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(root + "/deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	out := map[string]dashboard{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out[filepath.Base(f)] = d
	}
	return out
}

// panelQueries are the queries of all panels, with the range that Grafana
// would put in for a page that scrapes every second.
func panelQueries(t *testing.T) (out []query) {
	t.Helper()
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				out = append(out, query{fmt.Sprintf("%s, %q, %s", file, p.Title, target.RefID), strings.ReplaceAll(target.Expr, "$__rate_interval", "20s")})
			}
		}
	}
	return out
}

func TestDashboardsAreWellFormed(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range dashboards(t) {
		if d.UID == "" || d.Title == "" || uids[d.UID] {
			t.Errorf("%s: uid %q, title %q", file, d.UID, d.Title)
		}
		uids[d.UID] = true
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: two panels have id %d", file, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x > 23 {
						t.Fatalf("%s: %q lies over %q or outside", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type != "row" && (p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0) {
				t.Errorf("%s: %q has no title, description, unit or query", file, p.Title)
			}
		}
		for _, a := range d.Annotations.List {
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(a.Expr); err != nil {
				t.Errorf("%s: annotation: %v", file, err)
			}
		}
	}
}

// families are the metrics that are exported: name -> label names -> values.
type families map[string]map[string]map[string]bool

func (f families) add(name string, ls map[string]string) {
	if f[name] == nil {
		f[name] = map[string]map[string]bool{}
	}
	for k, v := range ls {
		if f[name][k] == nil {
			f[name][k] = map[string]bool{}
		}
		f[name][k][v] = true
	}
}

// fromPrometheus are what Prometheus itself adds: a label of each target and series of its own.
var (
	targetLabels = map[string]bool{"job": true, "instance": true}
	ownSeries    = map[string]bool{"up": true, "ALERTS": true}
)

// check parses a query and returns what it asks for that is not exported. used
// collects the names of the metrics that it reads.
func (f families) check(q query, used map[string]bool) (faults []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		return []string{err.Error()}
	}
	known := map[string]bool{} // labels of anything below
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		used[s.Name] = true
		have := f[s.Name]
		if have == nil && !ownSeries[s.Name] {
			faults = append(faults, "nothing exports "+s.Name)
			return nil
		}
		maps.Copy(known, keys(have))
		for _, m := range s.LabelMatchers {
			switch {
			case m.Name == model.MetricNameLabel || targetLabels[m.Name] || ownSeries[s.Name]:
			case have[m.Name] == nil:
				faults = append(faults, s.Name+" has no label "+m.Name)
			case m.Type == labels.MatchEqual && !have[m.Name][m.Value]:
				faults = append(faults, fmt.Sprintf("%s has no %s=%q, but %v", s.Name, m.Name, m.Value, slices.Sorted(maps.Keys(have[m.Name]))))
			}
		}
		return nil
	})
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		var by []string
		switch n := n.(type) {
		case *parser.AggregateExpr:
			by = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				by = n.VectorMatching.MatchingLabels
			}
		}
		for _, l := range by {
			if !known[l] && !targetLabels[l] {
				faults = append(faults, "nothing in it has the label "+l)
			}
		}
		return nil
	})
	return faults
}

func keys[V any](m map[string]V) map[string]bool {
	out := make(map[string]bool, len(m))
	for k := range m {
		out[k] = true
	}
	return out
}

func TestAQueryForWhatIsNotExportedIsFound(t *testing.T) {
	f := families{}
	f.add("ell_x_total", map[string]string{"stage": "lines"})
	for expr, want := range map[string]int{
		`sum by (stage, instance) (rate(ell_x_total{stage="lines", job="a"}[1m]))`: 0,
		`ell_y_total`:                       1,
		`ell_x_total{stage="nowhere"}`:      1,
		`ell_x_total{line="red"}`:           1,
		`sum by (line) (ell_x_total)`:       1,
		`ell_x_total + on (line) up`:        1,
		`sum by (stage) (rate(ell_x_total)`: 1,
	} {
		if got := f.check(query{"", expr}, map[string]bool{}); len(got) != want {
			t.Errorf("%s: %v, want %d faults", expr, got, want)
		}
	}
}
