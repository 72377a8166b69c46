package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Health asks the role that runs with the same options on this machine whether
// it lives; an error says that it does not. A container without a shell is checked by it.
func Health(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+here(cmp.Or(o.MetricsAddr, o.HTTPAddr))+"/healthz", nil)
	if err != nil {
		return err
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // unlike the default one it asks no proxy: the role is on this machine
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("nothing answers: %w: a role answers at --metrics-addr, the website at --http-addr", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the role answers " + resp.Status)
	}
	return nil
}

// here is where a listener of this machine answers: one on every address does on loopback.
func here(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
