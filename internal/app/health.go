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
	host, port, err := net.SplitHostPort(cmp.Or(o.MetricsAddr, o.HTTPAddr))
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("nothing answers: %w: a role answers at --metrics-addr, the website at --http-addr", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the role answers " + resp.Status)
	}
	return nil
}
