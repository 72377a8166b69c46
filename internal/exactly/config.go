package exactly

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"time"
)

// Defaults, see Config.
const (
	defaultCommitEvery        = 100 * time.Millisecond
	defaultLinger             = 5 * time.Millisecond
	defaultSchemaWait         = 8 * time.Second
	defaultSessionTimeout     = 30 * time.Second
	defaultTransactionTimeout = 10 * time.Second
	defaultRestoreStall       = 60 * time.Second
	defaultMetadataEvery      = 10 * time.Second
	defaultMaxPoll            = 1 << 18
	defaultMaxRestarts        = 20
	defaultPatience           = 0.5
)

func (c *Config) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.CommitEvery, defaultCommitEvery)
	def(&c.Linger, defaultLinger)
	def(&c.SchemaWait, defaultSchemaWait)
	def(&c.SessionTimeout, defaultSessionTimeout)
	def(&c.Heartbeat, c.SessionTimeout/10)
	def(&c.TransactionTimeout, defaultTransactionTimeout)
	def(&c.RestoreStall, defaultRestoreStall)
	def(&c.MetadataEvery, defaultMetadataEvery)
	def(&c.watchEvery, watchEvery)
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.MaxPoll == 0 {
		c.MaxPoll = defaultMaxPoll
	}
	if c.MaxRestarts == 0 {
		c.MaxRestarts = defaultMaxRestarts
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Committed == nil {
		c.Committed = func(time.Duration) {}
	}
	if c.Stage.ChangelogPartition == nil {
		c.Stage.ChangelogPartition = func(t Task) int32 { return t.Partition }
	}
}

// validate reports every fault at once; it contacts nobody.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	s := c.Stage
	if s.Name == "" {
		bad("the stage has no name")
	}
	if len(s.Topics) == 0 {
		bad("the stage has no input topics")
	}
	if s.New == nil {
		bad("the stage has no reducer")
	}
	if s.Regex {
		for _, t := range s.Topics {
			if _, err := regexp.Compile(t); err != nil {
				bad("topic expression %q: %w", t, err)
			}
		}
	}
	for _, t := range s.Topics {
		if t != "" && (t == s.Changelog || t == c.DeadLetter) {
			bad("topic %q is both input and output", t)
		}
	}
	if len(c.Client) == 0 {
		bad("no client options: at least the brokers must be named")
	}
	if c.TransactionalID == "" {
		bad("no transactional id")
	}
	if c.DeadLetter == "" {
		bad("no dead letter topic")
	}
	if c.TransactionTimeout >= c.SessionTimeout {
		bad("transaction timeout %s must be under the session timeout %s", c.TransactionTimeout, c.SessionTimeout)
	}
	if c.CommitEvery < 0 || c.CommitEvery > c.TransactionTimeout/2 {
		bad("commit interval %s must be between 0 and half the transaction timeout %s", c.CommitEvery, c.TransactionTimeout)
	}
	if c.Heartbeat <= 0 || c.Heartbeat > c.SessionTimeout/3 {
		bad("heartbeat %s must be at most a third of the session timeout %s", c.Heartbeat, c.SessionTimeout)
	}
	if c.Patience < 0 {
		bad("patience %g is negative", c.Patience)
	}
	if c.MaxPoll < 0 {
		bad("MaxPoll %d is negative", c.MaxPoll)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stage %s: %w: %w", s.Name, ErrMisconfigured, err)
	}
	return nil
}

// backoff is the pause after the nth failure in a row (from 1): doubling from
// first to most, with up to half of it left to chance so that instances that
// failed together do not come back together.
func backoff(n int, first, most time.Duration) time.Duration {
	d := first
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	return d/2 + rand.N(d/2+1)
}
