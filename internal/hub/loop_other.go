//go:build !linux

package hub

import (
	"context"
	"net/http"
	"net/netip"
)

// loop is not used here: a goroutine serves each viewer.
type loop struct{}

func newLoops(*Hub) ([]*loop, error) { return nil, nil }

func closeLoops([]*loop) {}

func (*loop) run(context.Context) {}

func (*loop) wake() {}

func (*Hub) hijack(http.ResponseWriter, netip.Addr, int, position) bool { return false }
