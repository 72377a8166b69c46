package app

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"ell/internal/cta"
	"ell/internal/event"
	"ell/internal/kafka"
	"ell/internal/registry"
)

// platform is what all roles stand on: the network, the way to the brokers,
// and schemas with their ids.
type platform struct {
	Options
	net      *cta.Network
	kafka    kafka.Config
	registry *registry.Client
	enc      *event.Encoder
	metrics  *prometheus.Registry
	boot     uint64 // of the embedded broker; 0: a real cluster
}

// newPlatform reaches brokers and registry, and brings topics and schemas to
// where they have to be before the first record. Roles may start in any order: each
// does this for itself, and waits for neighbours that are not there yet.
func newPlatform(ctx context.Context, o Options, boot uint64, roles ...string) (*platform, error) {
	p := &platform{
		Options: o, net: cta.Chicago(), kafka: o.kafkaConfig(), boot: boot,
		metrics: newMetrics(),
	}
	if err := errors.Join(o.Names.Validate(), p.kafka.Validate()); err != nil {
		return nil, err
	}
	if o.Registry.URL == "" {
		return nil, errors.New("no schema registry: name it with --registry, since --brokers names a cluster that has its own")
	}
	var err error
	if p.registry, err = registry.New(o.registryConfig()); err != nil {
		return nil, err
	}
	if err := p.await(ctx, "the schema registry at "+o.Registry.URL, registry.Transient, func(ctx context.Context) error {
		ids, err := p.registry.RegisterAll(ctx, o.Names.Schemas())
		if err == nil {
			p.enc, err = event.NewEncoder(ids)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := p.await(ctx, "Kafka at "+strings.Join(o.Brokers, ","), passes, func(ctx context.Context) error {
		if err := p.ensureTopics(ctx); err != nil {
			return err
		}
		return p.authorized(ctx, roles)
	}); err != nil {
		return nil, err
	}
	return p, nil
}

func (o Options) kafkaConfig() kafka.Config {
	return kafka.Config{
		Brokers: o.Brokers, ClientID: "ell", Logger: o.Log,
		TLS:  o.KafkaTLS,
		SASL: kafka.SASL{Mechanism: strings.ToUpper(o.KafkaSASL), User: o.KafkaUser, Password: o.KafkaPassword},
	}
}

func (o Options) registryConfig() registry.Config {
	return registry.Config{Access: o.Registry, Logger: o.Log}
}

// retention is how long records are kept: bounded by size in the one-process
// mode, by time on a cluster, or as the options say.
func (o Options) retention() event.Retention {
	r := event.ClusterRetention()
	if o.oneProcess {
		r = event.EmbeddedRetention(o.Names.Layout)
	}
	if o.Retention > 0 {
		r.Sensors = o.Retention
	}
	if o.RetentionBytes > 0 {
		r.SensorBytes = o.RetentionBytes
	}
	return r
}

func (p *platform) specs() []event.TopicSpec {
	refs := make([]event.StationRef, len(p.net.Stations))
	for i, s := range p.net.Stations {
		refs[i] = event.StationRef{ID: s.ID, Slug: s.Slug}
	}
	return p.Names.Specs(refs, p.retention())
}

// transactionalID names a producer of this process. On the embedded broker
// it carries the boot's number, since a broker that was killed leaves no abort marker for a
// producer that was in a transaction, and its id must not come back.
func (p *platform) transactionalID(role string) string {
	id := p.Names.Prefix + role + "." + p.Instance
	if p.boot > 0 {
		id += ".boot" + strconv.FormatUint(p.boot, 10)
	}
	return id
}

// log returns the logger of a role.
func (p *platform) log(role string) *slog.Logger { return p.Log.With("role", role) }
