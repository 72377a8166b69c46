package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ell/internal/access"
	"ell/internal/check"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/registry"
)

// The roles, as the rights they need are listed.
const (
	roleSimulate = "simulate"
	roleGateway  = "gateway"
	roleStations = "stations"
	roleProcess  = "process"
	roleServe    = "serve"
)

// errNotYet marks what somebody else is going to mend, so that waiting helps.
var errNotYet = errors.New("not yet")

// passes says whether an error of Kafka's may pass.
func passes(err error) bool {
	return errors.Is(err, errNotYet) || kafka.Classify(err) == kafka.Transient
}

// await calls f until it succeeds, says what it waits for in one line and
// again every ten seconds, and gives up only on errors that waiting does not mend.
func (p *platform) await(ctx context.Context, what string, passes func(error) bool, f func(context.Context) error) error {
	const (
		once  = 10 * time.Second // a try
		quiet = time.Second      // before the first word: most are there by then
		again = 10 * time.Second
		most  = time.Second // between tries: whoever appears is noticed at once
	)
	begun, told := time.Now(), time.Time{}
	for n := 0; ; n++ {
		try, cancel := context.WithTimeout(ctx, once)
		err := f(try)
		cancel()
		now := time.Now()
		switch {
		case err == nil:
			if !told.IsZero() {
				p.Log.Warn("waited; going on", "for", what, "waited", now.Sub(begun).Round(time.Second))
			}
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !passes(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		if now.Sub(begun) >= quiet && now.Sub(told) >= again {
			told = now
			p.Log.Warn("waiting", "for", what, "waited", now.Sub(begun).Round(time.Second), "err", err)
		}
		if err := kafka.Sleep(ctx, min(kafka.Backoff(n), most)); err != nil {
			return context.Cause(ctx)
		}
	}
}

// ensureTopics creates the topics that are missing. Of those that are there,
// differences that make results wrong are refused and others told; nothing is changed.
func (p *platform) ensureTopics(ctx context.Context) error {
	// With less patience than await's, so that the reason comes and not a timeout.
	cl, err := p.kafka.New(kgo.RetryTimeout(4 * time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	var report kafka.TopicsReport
	if err = p.sameLayout(ctx, cl); err == nil {
		report, err = kafka.EnsureTopics(ctx, cl, p.specs(), p.Replication)
	}
	switch {
	case errors.Is(err, kafka.ErrCreate) && (errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed)):
		return fmt.Errorf("%w: topics are missing, and user %q may not create them: start a role that may, or allow it Create (docs/security.md)", errNotYet, p.principal())
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return fmt.Errorf("%w: fewer brokers are up than topics shall have replicas: start the others, or choose --replication: %w", errNotYet, err)
	case errors.Is(err, io.EOF) && p.KafkaSASL != "":
		return fmt.Errorf("%w: the broker hangs up on user %q: see the password, --kafka-sasl and --kafka-tls", err, p.KafkaUser)
	case err != nil:
		return err
	}
	var wrong []error
	for _, g := range report.Groups() {
		if g.Breaks() {
			wrong = append(wrong, fmt.Errorf("%v, under which results would be wrong: %s", g, g.Mend()))
			continue
		}
		p.Log.Warn("topics are not as they should be; nothing was changed", "difference", g, "mend", g.Mend())
	}
	return errors.Join(wrong...)
}

// sameLayout refuses a log whose sensors' topics are of the other layout: the totals
// would begin anew beside what that one counted.
func (p *platform) sameLayout(ctx context.Context, cl *kgo.Client) error {
	other := p.Names
	other.Layout = event.PerStation
	if p.Names.Layout == event.PerStation {
		other.Layout = event.Shared
	}
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	// Arrivals would tell as well, but for a log from when the per-station layout had a topic by line too.
	sensors := regexp.MustCompile(other.TurnstilesPattern())
	for _, t := range topics.Sorted() {
		if t.Err == nil && sensors.MatchString(t.Topic) {
			return fmt.Errorf("this log was begun with --topics %s (topic %s): go on with that, or begin anew in another data folder or under another --prefix", other.Layout, t.Topic)
		}
	}
	return nil
}

// authorized makes sure that the user may do to topics what roles do, before
// any of them has begun.
func (p *platform) authorized(ctx context.Context, roles []string) error {
	if p.oneProcess {
		return nil
	}
	cl, err := p.kafka.New()
	if err != nil {
		return err
	}
	defer cl.Close()
	need := check.Rights{}
	for _, role := range roles {
		p.rights(role, need)
	}
	return need.Verify(ctx, cl, p.principal())
}

// principal is the user that the brokers take this process for.
func (o Options) principal() string {
	switch {
	case o.KafkaSASL != "":
		return o.KafkaUser
	case o.KafkaTLS != nil && o.KafkaTLS.CertFile != "":
		return "of the certificate"
	}
	return "ANONYMOUS"
}

// rights adds what a role does to topics, besides describing all of them.
func (p *platform) rights(role string, to check.Rights) {
	n := p.Names
	read := func(topics ...string) { to.Add(kmsg.ACLOperationRead, topics...) }
	write := func(topics ...string) { to.Add(kmsg.ACLOperationWrite, topics...) }
	var sensors []string
	for _, s := range p.net.Stations {
		sensors = append(sensors, n.Arrivals(s.ID, s.Slug), n.Turnstiles(s.ID, s.Slug))
	}
	switch role {
	case roleSimulate:
		write(sensors...)
		write(n.Clock(), n.Changelog(event.StageCity))
		read(n.Clock(), n.Changelog(event.StageCity), n.Commands(), n.Weather())
	case roleGateway:
		write(n.Weather())
	case roleStations:
		read(n.Stations(), n.StationLines())
		if p.Connect.URL == "" { // else the workers write
			write(n.Stations(), n.StationLines(), n.ConnectOffsets())
		}
	case roleProcess:
		logs := []string{n.Changelog(event.StageStations), n.Changelog(event.StageTurnstiles), n.LinesChangelog()}
		read(sensors...)
		read(logs...)
		read(n.Clock(), n.Stations(), n.StationLines())
		write(logs...)
		write(n.StationsTable(), n.Summary(), n.Windows(), n.Trains(), n.Lines(), n.DeadLetter())
	case roleServe:
		read(n.StationsTable(), n.Summary(), n.Windows(), n.Trains(), n.Lines(), n.Weather(), n.Clock())
		if p.Control {
			write(n.Commands())
		}
	}
}

// Explain adds to an error of a role which setting or right mends it, where
// the error itself does not say.
func Explain(o Options, err error) error {
	grant := func(what string) error {
		return fmt.Errorf("%w: allow %s to user %q: kafka-acls.sh --bootstrap-server … --add --allow-principal 'User:%s' …; docs/security.md lists what each role needs", err, what, o.principal(), o.principal())
	}
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("%w: the brokers do not take user %q with this password: see --kafka-user, --kafka-password-file (or ELL_KAFKA_PASSWORD) and --kafka-sasl", err, o.KafkaUser)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("%w: choose another with --kafka-sasl", err)
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return grant("Write and Describe on transactional ids that begin with " + o.Names.Prefix)
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return grant("Read on groups that begin with " + o.Names.Prefix)
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return grant("what the message names on the cluster")
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return grant("Describe and DescribeConfigs on topics that begin with " + o.Names.Prefix + " and on " + o.Names.Summary() + ", and Read or Write where the message says so,")
	case access.Distrusted(err) && !errors.Is(err, registry.ErrRefused):
		return access.Explain(err, "--kafka")
	}
	return err
}
