package registry

import (
	"context"
	"errors"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/errgroup"

	"ell/internal/event"
)

// Level is the compatibility that subjects should have: every version with
// every other, since readers start from the beginning of the log.
const Level = "FULL_TRANSITIVE"

// Subject is what the registry knows of a schema.
type Subject struct {
	Name  string
	Known bool   // it has the schema
	Level string // of compatibility, the subject's own or the registry's; "" where it is not Known
}

// Inspect asks what the registry knows of schemas and changes nothing.
func (c *Client) Inspect(ctx context.Context, all []event.Schema) ([]Subject, error) {
	out := make([]Subject, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(registrars)
	for i, s := range all {
		g.Go(func() error {
			out[i].Name = s.Subject
			_, err := c.cl.LookupSchema(ctx, s.Subject, sr.Schema{Schema: s.Text})
			if notFound(err) {
				return nil
			}
			if err != nil {
				return c.explain("look up "+s.Subject, err)
			}
			level, err := c.level(sr.WithParams(ctx, sr.DefaultToGlobal), s.Subject)
			out[i].Known, out[i].Level = true, level
			return err
		})
	}
	return out, g.Wait()
}

// level is the compatibility of a subject; "" where none is set.
func (c *Client) level(ctx context.Context, subject string) (string, error) {
	got := c.cl.Compatibility(ctx, subject)[0]
	if notFound(got.Err) {
		return "", nil
	}
	if got.Err != nil {
		return "", c.explain("ask for the compatibility of "+subject, got.Err)
	}
	return got.Level.String(), nil
}

// isNew says whether the registry has no such subject yet.
func (c *Client) isNew(ctx context.Context, subject, text string) bool {
	_, err := c.cl.LookupSchema(ctx, subject, sr.Schema{Schema: text})
	r, ok := errors.AsType[*sr.ResponseError](err)
	return ok && r.ErrorCode == sr.ErrSubjectNotFound.Code
}

// protect asks for Level for a new subject. The level of one that was there is
// somebody's decision: it is told of and left as it is.
func (c *Client) protect(ctx context.Context, subject string, isNew bool) {
	if isNew {
		if err := c.cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject)[0].Err; err != nil {
			c.log.Warn("the registry does not take a compatibility level", "subject", subject, "err", err)
		}
		return
	}
	if level, err := c.level(sr.WithParams(ctx, sr.DefaultToGlobal), subject); err != nil || level != Level {
		c.log.Info("the compatibility of a subject is not "+Level+"; nothing was changed", "subject", subject, "level", level, "err", err)
	}
}

// notFound says whether the registry answered, with a code of its own, that
// there is no such thing.
func notFound(err error) bool {
	r, ok := errors.AsType[*sr.ResponseError](err)
	return ok && r.StatusCode == http.StatusNotFound && r.ErrorCode != 0
}
