package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestGrafanasOwnSchemaTakesTheDashboards: all that is required and nothing
// that Grafana does not know, down to the options of each kind of panel.
func TestGrafanasOwnSchemaTakesTheDashboards(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob(root + "/deploy/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, broken := range map[string]string{"": "", `"graphTooltip"`: `"graphTolltip"`, `"showLegend"`: `"showLegends"`} {
			var d grafana.Dashboard //nolint:staticcheck // the form of provisioned files; the newer one is for its API
			err := d.UnmarshalJSONStrict([]byte(strings.ReplaceAll(string(text), name, broken)))
			if err != nil && err.Error() == "" { // an empty list of faults
				err = d.Validate()
			}
			if (err != nil && err.Error() != "") != (name != "") {
				t.Errorf("%s with %s for %s: %v", f, broken, name, err)
			}
		}
	}
}

// TestUnitsAreGrafanas looks each up in the list that comes with Grafana's library.
func TestUnitsAreGrafanas(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/grafana/grafana-foundation-sdk/go").Output()
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "units/types_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			unit := p.FieldConfig.Defaults.Unit
			if p.Type != "row" && !strings.HasPrefix(unit, "suffix:") && !strings.Contains(string(list), fmt.Sprintf("= %q\n", unit)) {
				t.Errorf("%s: %q has unit %q", file, p.Title, unit)
			}
		}
	}
}
