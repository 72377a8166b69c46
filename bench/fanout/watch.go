//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"ell/bench/fanout/crowd"
)

// watch is many viewers of a running ell, which has to allow them (--max-viewers).
func watch(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("viewers", flag.ContinueOnError)
	where := fs.String("url", "http://127.0.0.1:8888", "the website of an ell on this machine")
	n := fs.Int("n", 10_000, "viewers")
	about := fs.Duration("for", 20*time.Second, "how long they watch")
	gzip := fs.Bool("gzip", true, "ask for a compressed stream, as browsers do")
	pid := fs.Int("pid", 0, "the server's process, for its memory and CPU; 0: the one that listens at the address, if it is this user's")
	if err := fs.Parse(args); err != nil {
		return err
	}
	u, err := url.Parse(*where)
	if err != nil {
		return fmt.Errorf("-url: %w", err)
	}
	addr, err := netip.ParseAddrPort(u.Host)
	if err != nil || !addr.Addr().Is4() || !addr.Addr().IsLoopback() || u.Scheme != "http" {
		return fmt.Errorf("-url %s: viewers come from 127.0.0.0/8, so it has to be http://127.x.x.x:port", *where)
	}
	if *pid == 0 {
		if *pid, err = listener(addr.Port()); err != nil {
			return err
		}
	}
	accept := ""
	if *gzip {
		accept = "Accept-Encoding: gzip\r\n"
	}
	c, err := crowd.New(crowd.Config{
		Server: addr, Read: readEll,
		Request: []byte("GET /api/v1/stream HTTP/1.1\r\nHost: " + u.Host + "\r\nAccept: text/event-stream\r\n" + accept + "\r\n"),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	_, before, err := usageOf(*pid)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.Join(ctx, *n); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d viewers joined in %.2f s\n", *n, time.Since(began).Seconds())
	// The first moments are of the joining: a viewer is given a state that may be a second old.
	if err := pollFor(ctx, c, 3*time.Second); err != nil {
		return err
	}
	c.Reset()
	cpu, resident, err := usageOf(*pid)
	if err != nil {
		return err
	}
	began = time.Now()
	if err := pollFor(ctx, c, *about); err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	after, _, err := usageOf(*pid)
	if err != nil {
		return err
	}
	busy, t := (after - cpu).Seconds(), c.Tally
	fmt.Fprintf(out, "memory      %.2f KB resident more a viewer than before they came (the whole server: %.0f MB)\n",
		float64(resident-before)/1024/float64(*n), float64(resident)/(1<<20))
	fmt.Fprintf(out, "deliveries  %.0f a second, %.1f frames a second each, %.0f bytes a second each\n",
		float64(t.Deliveries)/took, float64(t.Deliveries)/took/float64(*n), float64(t.Bytes)/took/float64(*n))
	fmt.Fprintf(out, "cpu         %.2f cores for the whole server, city and log included: %.0f deliveries per second and core\n",
		busy/took, float64(t.Deliveries)/busy)
	fmt.Fprintf(out, "delivery    p50 %v, p99 %v after the server cut the frame (±1 ms)\n", c.Late.Quantile(0.5), c.Late.Quantile(0.99))
	fmt.Fprintf(out, "correct     %d viewers were sent away, %d frames replaced by a newer state, none repeated, none out of order\n", t.Lost, t.Missed)
	if t.Lost > 0 || t.Deliveries == 0 {
		return errors.New("not every viewer was served")
	}
	return nil
}

func pollFor(ctx context.Context, c *crowd.Crowd, d time.Duration) error {
	for until := time.Now().Add(d); time.Now().Before(until); {
		if err := c.Poll(5 * time.Millisecond); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// readEll reads a message of docs/stream.md.
func readEll(b []byte) (crowd.Message, error) {
	var m crowd.Message
	var event, data []byte
	for line := range bytes.Lines(b) {
		k, v, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(": "))
		switch string(k) {
		case "id":
			_, seq, _ := bytes.Cut(v, []byte("-"))
			var err error
			if m.Seq, err = strconv.ParseUint(string(seq), 10, 64); err != nil {
				return m, fmt.Errorf("id %q: %w", v, err)
			}
		case "event":
			event = v
		case "data":
			data = v
		}
	}
	switch string(event) {
	case "":
		m.Skip = true // a heartbeat or a retry hint
		return m, nil
	case "snapshot":
		m.Whole = true
	case "delta":
	default:
		return m, fmt.Errorf("the server says %q: %s", event, data)
	}
	var d struct {
		Sent int64 `json:"sent"`
	}
	if err := json.Unmarshal(data, &d); err != nil || m.Seq == 0 {
		return m, errors.Join(fmt.Errorf("message %q cannot be read", event), err)
	}
	if !m.Whole { // a state may be older than its viewer
		m.Sent = d.Sent * 1000
	}
	return m, nil
}
