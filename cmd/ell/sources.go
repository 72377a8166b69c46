package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
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

// profiles are settings that ell brings along, by name.
//
//go:embed profiles/*.yaml
var profiles embed.FS

// inURL finds a password where it does not belong, so that it is not printed
// beside the fault.
var inURL = regexp.MustCompile(`(://[^:/?#@]*:)[^@]*(@)|([?&]password=)[^&]*`)

// sources answers for flags that the command line leaves unset: first from
// the environment, then from the YAML file, last from a profile. It gathers
// what is wrong with them.
type sources struct {
	env         map[string]string
	path        string
	yaml        map[string]any
	profile     string
	fromProfile map[string]any
	faults      []error
	known       map[string]bool
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

// lookup finds a secret: a variable, or what a profile brings along.
func (s *sources) lookup(name string) (string, bool) {
	if v, ok := s.env[name]; ok {
		return v, true
	}
	v, ok := s.fromProfile[flagName(name)].(string)
	return v, ok
}

func flagName(env string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(env, "ELL_")), "_", "-")
}

func envName(flag string) string {
	return "ELL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// file reads the YAML file that --config or ELL_CONFIG names. It runs before
// the command line is parsed, since parsing asks for its values.
func (s *sources) file(args []string) {
	s.path = s.early(args, "config")
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

// early is the value of a flag that is needed before the command line is parsed.
func (s *sources) early(args []string, flag string) string {
	value := s.env[envName(flag)]
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--"+flag+"="); ok {
			value = v
		} else if a == "--"+flag && i+1 < len(args) {
			value = args[i+1]
		}
	}
	return value
}

// named reads the profile that --profile, ELL_PROFILE or the file names.
func (s *sources) named(args []string) {
	s.profile = s.early(args, "profile")
	if v, ok := s.yaml["profile"].(string); ok && s.profile == "" {
		s.profile = v
	}
	if s.profile == "" {
		return
	}
	text, err := profiles.ReadFile("profiles/" + s.profile + ".yaml")
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("--profile: there is no profile %q: ell has stack", s.profile))
		return
	}
	if err := yaml.Unmarshal(text, &s.fromProfile); err != nil {
		s.faults = append(s.faults, fmt.Errorf("profile %s: %w", s.profile, err))
	}
}

// Validate finds variables and keys that no flag goes by.
func (s *sources) Validate(a *kong.Application) error {
	for _, f := range a.Flags {
		s.known[f.Name] = true
	}
	for k := range s.env {
		if !s.known[flagName(k)] && !slices.Contains(secrets, k) && !strings.HasPrefix(k, "ELL_TEST_") {
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
	v, ok := s.yaml[f.Name]
	if !ok {
		v = s.fromProfile[f.Name]
	}
	switch v := v.(type) {
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
		_, inProfile := s.fromProfile[f.Name]
		switch {
		case onLine[f.Name]:
			src = "flag --" + f.Name
		case inEnv:
			src = "environment " + envName(f.Name)
		case inFile:
			src = "file " + s.path
		case inProfile:
			src = "profile " + s.profile
		}
		out = append(out, setting{f.Name, inURL.ReplaceAllString(f.Target.String(), "${1}${3}(hidden)${2}"), src})
	}
	for _, name := range secrets {
		if _, ok := s.env[name]; ok {
			out = append(out, setting{flagName(name), "(hidden)", "environment " + name})
		} else if _, ok := s.fromProfile[flagName(name)]; ok {
			out = append(out, setting{flagName(name), "(hidden)", "profile " + s.profile})
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
