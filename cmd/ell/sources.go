package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// secrets are the variables that hold secrets and have no flag, since the
// command line of a process can be read by others.
var secrets = []string{
	"ELL_KAFKA_PASSWORD", "ELL_GATEWAY_PASSWORD",
	"ELL_REGISTRY_PASSWORD", "ELL_REGISTRY_TOKEN", "ELL_REST_PROXY_PASSWORD", "ELL_REST_PROXY_TOKEN",
	"ELL_CONNECT_PASSWORD", "ELL_CONNECT_TOKEN", "ELL_POSTGRES_PASSWORD",
}

// sources answers for flags that the command line leaves unset: first from
// the environment, then from the YAML file. It gathers what is wrong with both.
type sources struct {
	env    map[string]string
	path   string
	yaml   map[string]any
	faults []error
	known  map[string]bool
}

var _ kong.Resolver = (*sources)(nil)

func newSources(environ []string) *sources {
	s := &sources{env: map[string]string{}, yaml: map[string]any{}, known: map[string]bool{}}
	for _, e := range environ {
		if k, v, ok := strings.Cut(e, "="); ok && strings.HasPrefix(k, "ELL_") {
			s.env[k] = v
		}
	}
	return s
}

func (s *sources) lookup(name string) (string, bool) { v, ok := s.env[name]; return v, ok }

func envName(flag string) string {
	return "ELL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// file reads the YAML file that --config or ELL_CONFIG names. It runs before
// the command line is parsed, since parsing asks for its values.
func (s *sources) file(args []string) {
	s.path = s.env["ELL_CONFIG"]
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			s.path = v
		} else if a == "--config" && i+1 < len(args) {
			s.path = args[i+1]
		}
	}
	if s.path == "" {
		return
	}
	f, err := os.Open(s.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("--config: there is no file %s", s.path)
		}
		s.faults = append(s.faults, err)
		return
	}
	defer f.Close()
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(text) > limit {
		err = errors.New("larger than 1 MiB: that is no settings file")
	}
	if err == nil {
		err = yaml.Unmarshal(text, &s.yaml)
	}
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s: %w", s.path, err))
	}
}

// Validate finds variables and keys that no flag goes by.
func (s *sources) Validate(a *kong.Application) error {
	for _, f := range a.Flags {
		s.known[f.Name] = true
	}
	for k := range s.env {
		flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(k, "ELL_")), "_", "-")
		if !s.known[flag] && !slices.Contains(secrets, k) && !strings.HasPrefix(k, "ELL_TEST_") {
			s.faults = append(s.faults, fmt.Errorf("%s is set, but there is no setting of that name: see ell --help", k))
		}
	}
	for k, v := range s.yaml {
		switch v.(type) {
		case map[string]any, []any:
			s.faults = append(s.faults, fmt.Errorf("%s: %s must be a single value", s.path, k))
		}
		if !s.known[k] || k == "config" || k == "help" {
			s.faults = append(s.faults, fmt.Errorf("%s: there is no setting %q: see ell --help", s.path, k))
		}
	}
	slices.SortFunc(s.faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return nil
}

// Resolve implements kong.Resolver.
func (s *sources) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	if f.Name == "help" {
		return nil, nil
	}
	if v, ok := s.env[envName(f.Name)]; ok {
		return v, nil
	}
	switch v := s.yaml[f.Name].(type) {
	case nil, map[string]any, []any:
		return nil, nil
	case bool: // YAML reads an unquoted on or off as a truth value
		if v {
			return "on", nil
		}
		return "off", nil
	default:
		return fmt.Sprint(v), nil
	}
}

// setting is one effective value and where it came from.
type setting struct{ name, value, source string }

// effective lists the settings after parsing, in the order of --help.
func (s *sources) effective(k *kong.Context) []setting {
	onLine := map[string]bool{}
	for _, p := range k.Path {
		if p.Flag != nil && !p.Resolved {
			onLine[p.Flag.Name] = true
		}
	}
	var out []setting
	for _, f := range k.Model.Flags {
		if f.Name == "help" {
			continue
		}
		src := "default"
		_, inEnv := s.env[envName(f.Name)]
		_, inFile := s.yaml[f.Name]
		switch {
		case onLine[f.Name]:
			src = "flag --" + f.Name
		case inEnv:
			src = "environment " + envName(f.Name)
		case inFile:
			src = "file " + s.path
		}
		out = append(out, setting{f.Name, f.Target.String(), src})
	}
	for _, name := range secrets {
		if _, ok := s.env[name]; ok {
			flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "ELL_")), "_", "-")
			out = append(out, setting{flag, "(hidden)", "environment " + name})
		}
	}
	return out
}

// printSettings prints settings as YAML that --config would take, with the source beside.
func printSettings(w io.Writer, values []setting) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range values {
		text, err := yaml.Marshal(v.value)
		if err != nil {
			text = []byte(fmt.Sprintf("%q", v.value))
		}
		if v.value == "(hidden)" {
			fmt.Fprintf(t, "# %s: %s\t# %s\n", v.name, v.value, v.source)
			continue
		}
		fmt.Fprintf(t, "%s: %s\t# %s\n", v.name, strings.TrimSpace(string(text)), v.source)
	}
	t.Flush() //nolint:errcheck // nothing to do for a terminal that is gone
}
