// Command latency measures how long a train's arrival takes from the broker to
// the viewers: from the append of the sensor's record to the receipt of the
// frame that shows it, through every stage and transaction between. It starts
// an ell of its own for each row of the table and reads the stream as browsers
// do. Milliseconds; the record's time has a resolution of one.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// measuring is how many of the viewers take the time; the others only read.
const measuring = 8

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	bin := flag.String("ell", "../bin/ell", "the binary to measure")
	args := flag.String("args", "", "further flags for it, such as --profile=stack")
	speeds := flag.String("speeds", "1,100,3600", "speeds of the city, with commas between")
	viewers := flag.String("viewers", "1,100,1000", "numbers of viewers, with commas between")
	seconds := flag.Int("seconds", 20, "how long each measurement takes, after a warm-up of a third of it")
	flag.Parse()
	ss, err := numbers(*speeds)
	if err != nil {
		return fmt.Errorf("-speeds: %w", err)
	}
	vs, err := numbers(*viewers)
	if err != nil {
		return fmt.Errorf("-viewers: %w", err)
	}
	fmt.Println("speed  viewers  events/s  arrivals seen  p50 ms  p90 ms  p99 ms  max ms  CPU s/s  MB")
	for _, speed := range ss {
		for _, n := range vs {
			if err := row(ctx, *bin, strings.Fields(*args), speed, n, time.Duration(*seconds)*time.Second); err != nil {
				return fmt.Errorf("speed %d, %d viewers: %w", speed, n, err)
			}
		}
	}
	return nil
}

func numbers(s string) ([]int, error) {
	var out []int
	for f := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number above 0", f)
		}
		out = append(out, n)
	}
	return out, nil
}

// row starts ell, attaches n viewers, and prints what they saw.
func row(ctx context.Context, bin string, args []string, speed, n int, long time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "latency-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	args = append([]string{"up", "--data", dir, "--http-addr", addr, "--kafka-addr", "127.0.0.1:0", "--registry-addr", "127.0.0.1:0",
		"--gateway-addr", "127.0.0.1:0", "--speed", strconv.Itoa(speed)}, args...)
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(os.Interrupt), cmd.Wait())
	}()
	if err := ready(ctx, "http://"+addr+"/readyz"); err != nil {
		return err
	}

	vctx, cancel := context.WithCancel(ctx)
	from := time.Now().Add(long / 3)
	var seen samples
	var wg sync.WaitGroup
	failed := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			if err := view(vctx, addr, i, from, &seen); err != nil && vctx.Err() == nil {
				failed <- fmt.Errorf("viewer %d: %w", i, err)
			}
		})
	}
	before, events, err := sampleAt(ctx, cmd.Process.Pid, addr, from)
	if err == nil {
		var after, later float64
		after, later, err = sampleAt(ctx, cmd.Process.Pid, addr, from.Add(long))
		before, events = (after-before)/long.Seconds(), (later-events)/long.Seconds()
	}
	mb := resident(cmd.Process.Pid)
	cancel()
	wg.Wait()
	select {
	case e := <-failed:
		err = errors.Join(err, e)
	default:
	}
	if err != nil {
		return err
	}
	d := seen.sorted()
	if len(d) == 0 {
		return errors.New("no arrival was seen")
	}
	at := func(q float64) int64 { return d[min(len(d)-1, int(q*float64(len(d))))] }
	fmt.Printf("%5d  %7d  %8.0f  %13d  %6d  %6d  %6d  %6d  %7.2f  %.0f\n", speed, n, events, len(d), at(.5), at(.9), at(.99), d[len(d)-1], before, mb)
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func ready(ctx context.Context, url string) error {
	for range 600 {
		resp, err := http.Get(url) //nolint:noctx // short
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("ell was not ready within a minute")
}

// sampleAt waits until at, then tells the CPU seconds that pid has used and the
// events that the city has sent.
func sampleAt(ctx context.Context, pid int, addr string, at time.Time) (cpu, events float64, err error) {
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(time.Until(at)):
	}
	resp, err := http.Get("http://" + addr + "/api/v1/system") //nolint:noctx // short
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	var doc struct {
		System struct {
			City struct{ Events float64 }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		return 0, 0, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	sys, _ := strconv.ParseFloat(f[12], 64)
	return (user + sys) / 100, doc.System.City.Events, nil
}

func resident(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseFloat(strings.Fields(string(b))[1], 64)
	return pages * float64(os.Getpagesize()) / 1e6
}

// samples gathers delays, in milliseconds.
type samples struct {
	mu sync.Mutex
	ms []int64
}

func (s *samples) add(ms int64) { s.mu.Lock(); s.ms = append(s.ms, ms); s.mu.Unlock() }

func (s *samples) sorted() []int64 { slices.Sort(s.ms); return s.ms }

// view is one viewer. The first few read plain text and take the time of every
// arrival from the given moment on; the rest read compressed frames, as browsers do.
func view(ctx context.Context, addr string, i int, from time.Time, seen *samples) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(i>>8), byte(1+i%250))}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	encoding := "gzip"
	if i < measuring {
		encoding = "identity"
	}
	if _, err := fmt.Fprintf(conn, "GET /api/v1/stream HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nAccept-Encoding: %s\r\n\r\n", addr, encoding); err != nil {
		return err
	}
	if i >= measuring {
		_, err := io.Copy(io.Discard, conn)
		return err
	}
	last := map[string]float64{} // the newest record seen of each train
	lines := bufio.NewReaderSize(conn, 1<<20)
	delta := false
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			delta = bytes.HasPrefix(name, []byte("delta"))
			continue
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		if !ok {
			continue
		}
		now := time.Now()
		var f struct{ Trains [][]any }
		if err := json.Unmarshal(data, &f); err != nil {
			return fmt.Errorf("a frame that is no JSON: %w", err)
		}
		for _, t := range f.Trains {
			id, _ := t[0].(string)
			appended, _ := t[9].(float64)
			if appended > last[id] {
				last[id] = appended
				if delta && now.After(from) {
					seen.add(now.UnixMilli() - int64(appended))
				}
			}
		}
	}
}
