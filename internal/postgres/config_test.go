package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ell/internal/postgres"
)

func TestAURLSaysWhereAndWhoAndNeverThePassword(t *testing.T) {
	got, err := postgres.Config{URL: "postgres://reader@db.internal:6432/cta?sslmode=verify-full&sslrootcert=system"}.Address()
	if err != nil {
		t.Fatal(err)
	}
	want := postgres.Address{
		Host: "db.internal", Port: 6432, Database: "cta", Schema: "public", User: "reader",
		TLS: map[string]string{"sslmode": "verify-full", "sslrootcert": "system"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, url := range []string{
		"", "db", "http://u@h/d", "postgres://h/d", "postgres://u@/d", "postgres://u@h", "postgres://u@h/", "postgres://u@h:port/d", "postgres://u@h/d?sslmode=perhaps",
		"postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2", "postgres://u:hunter2@h:x/d", "postgres://u:hunter2@%zz",
	} {
		err := postgres.Config{URL: url}.Validate()
		if err == nil {
			t.Errorf("%q was taken", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the fault of %q shows the password: %v", url, err)
		}
	}
	if text := fmt.Sprintf("%+v", postgres.Config{URL: "postgres://u@h/d", Password: "hunter2"}); strings.Contains(text, "hunter2") {
		t.Errorf("printed: %s", text)
	}
}
