package app

import (
	"context"
	"fmt"

	"ell/internal/gateway"
)

// Gateway runs the REST Proxy against a cluster until ctx ends.
func Gateway(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0, roleGateway)
	if err != nil {
		return err
	}
	g, err := p.newGateway()
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "REST Proxy  %s://%s\n", o.Protect.Scheme(), g.Addr())
	return p.withMetrics(ctx, g.Run)
}

func (p *platform) newGateway() (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{Addr: p.GatewayAddr, Kafka: p.kafka, Protect: p.Protect, Hosts: p.Hosts, Registry: p.registry, Logger: p.log("gateway"), Metrics: p.metrics})
}

// ownGateway makes the gateway of ell at addr the REST Proxy where none is
// named, with what it asks for.
func (o *Options) ownGateway(addr string) {
	if o.RESTProxy.URL != "" {
		return
	}
	o.RESTProxy.URL = o.Protect.Scheme() + "://" + addr
	if o.RESTProxy.User == "" && o.RESTProxy.Token == "" {
		o.RESTProxy.User, o.RESTProxy.Password = o.Protect.User, o.Protect.Password
	}
}
