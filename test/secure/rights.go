package secure

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Right is a row of the table in docs/security.md.
type Right struct {
	Role       string
	Operations []kadm.ACLOperation
	Resource   string // as the table says it
	Name       string
}

// Table reads the rights of each role from docs/security.md, those of every
// role among each role's own.
func Table(t *testing.T) map[string][]Right {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| role | operations | resource | name |")
	out := map[string][]Right{}
	var every []Right
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			if len(out) > 0 {
				break // the end of the table
			}
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		r := Right{Role: cells[0], Resource: cells[2], Name: cells[3]}
		if strings.HasPrefix(r.Role, "-") || strings.Contains(r.Role, "shared layout") {
			continue
		}
		for op := range strings.SplitSeq(cells[1], ",") {
			var o kadm.ACLOperation
			if err := o.UnmarshalText([]byte(strings.TrimSpace(op))); err != nil {
				t.Fatalf("docs/security.md: %s: %v", line, err)
			}
			r.Operations = append(r.Operations, o)
		}
		if r.Role == "every role" {
			every = append(every, r)
		} else {
			out[r.Role] = append(out[r.Role], r)
		}
	}
	for role := range out {
		if role != "creator" {
			out[role] = append(out[role], every...)
		}
	}
	if len(out) != 7 || len(every) != 2 {
		t.Fatalf("docs/security.md: %d roles and %d rights of every role in its table", len(out), len(every))
	}
	return out
}

// builder is the right as ACLs of a user.
func (r Right) builder(user string) *kadm.ACLBuilder {
	b := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").Operations(r.Operations...).ResourcePatternType(kadm.ACLPatternLiteral)
	kind, prefixed := strings.CutSuffix(r.Resource, " that begin with")
	if prefixed {
		b.ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	switch strings.TrimSuffix(kind, "s") {
	case "topic":
		b.Topics(r.Name)
	case "group":
		b.Groups(r.Name)
	case "transactional id":
		b.TransactionalIDs(r.Name)
	case "cluster":
		b.Clusters()
	}
	return b
}

// Grant gives a user rights.
func Grant(ctx context.Context, t *testing.T, admin *kgo.Client, user string, rights ...Right) {
	t.Helper()
	for _, r := range rights {
		results, err := kadm.NewClient(admin).CreateACLs(ctx, r.builder(user))
		if err != nil {
			t.Fatal(err)
		}
		for _, res := range results {
			if res.Err != nil {
				t.Fatalf("grant %+v to %s: %v %s", r, user, res.Err, res.ErrMessage)
			}
		}
	}
}

// Revoke takes a right from a user.
func Revoke(ctx context.Context, t *testing.T, admin *kgo.Client, user string, r Right) {
	t.Helper()
	results, err := kadm.NewClient(admin).DeleteACLs(ctx, r.builder(user))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, res := range results {
		n += len(res.Deleted)
	}
	if n != len(r.Operations) {
		t.Fatalf("revoke %+v from %s: %d ACLs were deleted, not %d", r, user, n, len(r.Operations))
	}
}
