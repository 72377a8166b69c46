package check

import (
	"context"

	"ell/internal/event"
	"ell/internal/registry"
)

// Registry looks whether the registry has the schemas and holds later ones
// against all earlier ones, since readers start at the beginning of the log.
func Registry(ctx context.Context, c *registry.Client, schemas []event.Schema) []Finding {
	const part = "schema registry"
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	subjects, err := c.Inspect(ctx, schemas)
	if err != nil {
		return []Finding{bad(part, "start it, or name another with --registry", "%v", err)}
	}
	var missing []string
	loose := map[string][]string{}
	for _, s := range subjects {
		switch {
		case !s.Known:
			missing = append(missing, s.Name)
		case s.Level != registry.Level:
			loose[s.Level] = append(loose[s.Level], s.Name)
		}
	}
	var out []Finding
	if len(missing) > 0 {
		out = append(out, odd(part, "any role registers them when it starts", "not registered: %s", few(missing)))
	}
	for level, names := range loose {
		out = append(out, odd(part, "curl -X PUT -H 'Content-Type: application/json' -d '{\"compatibility\":\""+registry.Level+"\"}' …/config/SUBJECT for each",
			"compatibility of %s is %s, want %s: a later schema could leave old records unreadable", few(names), level, registry.Level))
	}
	if len(out) == 0 {
		out = append(out, good(part, "all %d schemas, compatibility %s", len(schemas), registry.Level))
	}
	return out
}
