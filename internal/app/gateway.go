package app

import (
	"context"
	"fmt"

	"ell/internal/gateway"
)

// Gateway runs the REST Proxy against a cluster until ctx ends.
func Gateway(ctx context.Context, o Options) error {
	p, err := newPlatform(ctx, o, 0)
	if err != nil {
		return err
	}
	g, err := p.newGateway()
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "REST Proxy  http://%s\n", g.Addr())
	return p.withMetrics(ctx, g.Run)
}

func (p *platform) newGateway() (*gateway.Gateway, error) {
	return gateway.New(gateway.Config{Addr: p.GatewayAddr, Kafka: p.kafka, Registry: p.registry, Logger: p.log("gateway")})
}
