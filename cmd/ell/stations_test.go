package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhereTheStationsComeFromIsCheckedAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pg, kc := []string{"--postgres", "postgres://u@db/cta"}, []string{"--connect", "http://connect:8083"}
	both := append(append([]string{}, pg...), kc...)
	for name, c := range map[string]struct {
		env, args []string
		want      string // in what is said; "": all is well
	}{
		"PostgreSQL alone":                     {nil, pg, ""},
		"both, the password by environment":    {[]string{"ELL_POSTGRES_PASSWORD=hunter2"}, both, ""},
		"both, the password by file":           {nil, append([]string{"--postgres-password-file", file}, both...), ""},
		"the password itself, asked for":       {[]string{"ELL_POSTGRES_PASSWORD=hunter2", "ELL_CONNECTOR_PASSWORD=plain"}, both, ""},
		"another reference":                    {nil, append([]string{"--connector-password", "${file:/run/db.properties:password}"}, both...), ""},
		"another user for the connector":       {nil, append([]string{"--connector-postgres", "postgres://reader@other/cta"}, both...), ""},
		"Connect without a database":           {nil, kc, "--postgres"},
		"a password in the URL":                {nil, []string{"--postgres", "postgres://u:hunter2@db/cta"}, "must not hold a password"},
		"a password in the connector's URL":    {nil, append([]string{"--connector-postgres", "postgres://u@db/cta?password=hunter2"}, both...), "must not hold a password"},
		"a password in Connect's URL":          {nil, append([]string{"--connect", "http://u:hunter2@connect"}, pg...), "must not hold a user or password"},
		"a password instead of a reference":    {nil, append([]string{"--connector-password", "hunter2"}, both...), "neither plain nor a reference"},
		"plain without a password":             {nil, append([]string{"--connector-password", "plain"}, both...), "plain needs the password"},
		"a password by file and environment":   {[]string{"ELL_POSTGRES_PASSWORD=hunter2"}, append([]string{"--postgres-password-file", file}, both...), "keep one"},
		"no URL":                               {nil, []string{"--postgres", "db:5432"}, "not a URL"},
		"basic authentication over plain HTTP": {[]string{"ELL_CONNECT_PASSWORD=hunter2"}, append([]string{"--connect-user", "u"}, both...), "use https"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := call(t, "", c.env, append([]string{"config"}, c.args...)...)
			if c.want == "" && code != 0 || c.want != "" && (code != 2 || !strings.Contains(errs, c.want)) {
				t.Errorf("code %d: %s", code, errs)
			}
			if name != "a password instead of a reference" && strings.Contains(out+errs, "hunter2") {
				t.Errorf("the password is shown:\n%s%s", out, errs)
			}
		})
	}
}
