//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// storm is what happens to those who stay when as many others come, and go, at once.
type storm struct {
	Calm    result        `json:"calm"`
	Joining result        `json:"joining"`
	Leaving result        `json:"leaving"`
	Join    time.Duration `json:"join"`     // until all who came had their first message
	JoinCPU time.Duration `json:"join_cpu"` // of the server while they came, with frames going on
}

// stormLoad is what the server has to deliver a second when all are there: little
// enough for every contestant, so that only the storm is in the way.
const stormLoad = 15_000

// storm lets n more viewers come at once, then go at once, while frames go on.
func (p *process) storm(ctx context.Context, n int) (*storm, error) {
	rate := stormLoad / float64(2*n)
	const about = 4 * time.Second
	s := &storm{}
	var err error
	if s.Calm, err = p.publish(ctx, rate, about, nil); err != nil {
		return nil, err
	}
	join := func() error {
		cpu, _, err := usageOf(p.pid)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := p.Join(ctx, n); err != nil {
			return fmt.Errorf("storm: %w", err)
		}
		s.Join = time.Since(began)
		after, _, err := usageOf(p.pid)
		s.JoinCPU = after - cpu
		return err
	}
	if s.Joining, err = p.publish(ctx, rate, about, join); err != nil {
		return nil, err
	}
	s.Leaving, err = p.publish(ctx, rate, about, func() error { p.Leave(n); return nil })
	return s, err
}
