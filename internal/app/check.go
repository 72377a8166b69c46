package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ell/internal/access"
	"ell/internal/check"
	"ell/internal/cta"
	"ell/internal/registry"
)

// errCheck says that Check found faults; they have been printed.
var errCheck = errors.New("not everything is as it should be")

// Check contacts every part that the options name and prints what is wrong and
// what mends it; it changes nothing. Without brokers it looks for a running
// ell on this machine. Warnings alone are no error.
func Check(ctx context.Context, o Options) error {
	if len(o.Brokers) == 0 {
		o.Brokers, o.Registry = []string{o.KafkaAddr}, access.HTTP{URL: "http://" + o.RegistryAddr}
		o.oneProcess = true
	}
	o.ownGateway(o.GatewayAddr)
	wrong := false
	for _, f := range slices.Concat(o.checkKafka(ctx), o.checkHTTP(ctx), o.checkStations(ctx)) {
		wrong = wrong || f.Level == check.Bad
		fmt.Fprintf(o.Out, "%-5s %-16s %s\n", f.Level, f.Part, f.Text)
		if f.Mend != "" {
			fmt.Fprintf(o.Out, "%5s %-16s → %s\n", "", "", f.Mend)
		}
	}
	if wrong {
		return errCheck
	}
	return nil
}

// checkKafka looks at brokers and topics.
func (o Options) checkKafka(ctx context.Context) []check.Finding {
	fault := func(err error) []check.Finding {
		return []check.Finding{{Level: check.Bad, Part: "Kafka", Text: Explain(o, err).Error(), Mend: "start the brokers, or name others with --brokers; without --brokers a running ell is looked for"}}
	}
	p := &platform{Options: o, net: cta.Chicago(), kafka: o.kafkaConfig()}
	cl, err := p.kafka.New()
	if err != nil {
		return fault(err)
	}
	defer cl.Close()
	out, err := check.Kafka(ctx, cl)
	if err != nil {
		return fault(err)
	}
	return append(out, check.Topics(ctx, cl, p.specs())...)
}

// checkHTTP looks at the neighbours that speak HTTP.
func (o Options) checkHTTP(ctx context.Context) []check.Finding {
	var out []check.Finding
	if c, err := registry.New(o.registryConfig()); err != nil {
		out = append(out, check.Finding{Level: check.Bad, Part: "schema registry", Text: err.Error(), Mend: "name one with --registry"})
	} else {
		const start = "start it, or name another with --registry"
		if out = append(out, check.HTTP(ctx, "schema registry", o.Registry, "subjects", "--registry", start)...); out[0].Level != check.Bad {
			out = append(out, check.Registry(ctx, c, o.Names.Schemas())...)
		}
	}
	out = append(out, check.HTTP(ctx, "REST Proxy", o.RESTProxy, "brokers", "--rest-proxy", "start one with: ell gateway (or name another with --rest-proxy)")...)
	return append(out, check.HTTP(ctx, "website", access.HTTP{URL: "http://" + here(o.HTTPAddr)}, "readyz", "--http",
		"start it with: ell serve; if it answers 503, it says itself what it waits for")...)
}
