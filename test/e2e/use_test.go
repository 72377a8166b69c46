package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the station database, opened as a user would

	"ell/internal/event"
	"ell/test/system"
)

func TestARowAddedToTheStationTablesReachesThePageAndADeletedOneLeavesIt(t *testing.T) {
	at, data := system.FreePorts(t), t.TempDir()
	p := start(t, append([]string{"--data", data, "--speed", "10"}, at.Args()...)...)
	system.Ready(t, p, at)
	db, err := sql.Open("sqlite", filepath.Join(data, "stations.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const hostile = `</script><img src=x onerror=alert(1)> "99th"`
	for _, q := range []string{
		`INSERT INTO stations (stop_id, direction_id, stop_name, station_name, station_descriptive_name, station_id, "order", red) VALUES (39999, 'S', 'New', ?1, NULL, 49990, 99, 1)`,
		`INSERT INTO station_lines (line, station_id, "order") VALUES ('red', 49990, 99)`,
	} {
		if _, err := db.ExecContext(t.Context(), q, hostile); err != nil && !strings.Contains(err.Error(), "parameter") {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	page := func() string {
		resp, err := http.Get("http://" + at.HTTP + "/line/red")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var b strings.Builder
		bufio.NewReader(resp.Body).WriteTo(&b)
		return b.String()
	}
	system.Within(t, 10*time.Second, func() error {
		if !strings.Contains(page(), "99th") {
			return fmt.Errorf("the new station is not on the page")
		}
		return nil
	})
	t.Logf("a new row is on the page after %v", time.Since(begun).Round(time.Millisecond))
	if text := page(); strings.Contains(text, "<img src=x") || !strings.Contains(text, "&lt;img src=x") {
		t.Error("a station's name became markup")
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM station_lines WHERE station_id = 49990`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM stations WHERE station_id = 49990`); err != nil {
		t.Fatal(err)
	}
	system.Within(t, 10*time.Second, func() error {
		if strings.Contains(page(), "99th") {
			return fmt.Errorf("the deleted station is still on the page")
		}
		return nil
	})
	p.Stop()
}

func TestStoppingAndStartingGoesOnWhereItStopped(t *testing.T) {
	at, data := system.FreePorts(t), t.TempDir()
	args := append(append([]string{"--data", data, "--speed", "60", "--seed", "7"}, at.Args()...), keepAll...)
	var last int64
	for range 3 {
		p := start(t, args...)
		system.Ready(t, p, at)
		time.Sleep(time.Second)
		var sys struct {
			System struct {
				City struct {
					Time int64 `json:"time_ms"`
					Seed int64
				}
			}
		}
		if err := system.Get("http://"+at.HTTP+"/api/v1/system", &sys); err != nil {
			t.Fatal(err)
		}
		if now := sys.System.City.Time; now <= last || last > 0 && now > last+120_000 || sys.System.City.Seed != 7 {
			t.Errorf("the city of seed %d went from %d to %d", sys.System.City.Seed, last, now)
		}
		last = sys.System.City.Time
		p.Stop()
	}
	p := start(t, args...)
	system.Ready(t, p, at)
	system.Clock(t, at, `{"paused":true}`)
	verify(t, at, event.PerStation)
	p.Stop()
}

func TestEveryLineOfALogInJSONIsAnObjectWithEachKeyOnce(t *testing.T) {
	at := system.FreePorts(t)
	p := start(t, append([]string{"--data", t.TempDir(), "--log", "debug", "--log-format", "json"}, at.Args()...)...)
	system.Ready(t, p, at)
	p.Stop()
	lines := 0
	for line := range strings.Lines(p.All()) {
		if !strings.HasPrefix(line, "{") {
			continue // the banner
		}
		lines++
		if err := eachKeyOnce([]byte(line)); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	if lines < 20 {
		t.Errorf("only %d lines in\n%s", lines, p.Output())
	}
}

// eachKeyOnce reads one line of JSON as far as its outermost keys go.
func eachKeyOnce(line []byte) error {
	d, seen := json.NewDecoder(bytes.NewReader(line)), map[string]bool{}
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := key.(string)
		if !ok || seen[name] {
			return fmt.Errorf("key %v comes twice", key)
		}
		seen[name] = true
		var value any
		if err := d.Decode(&value); err != nil {
			return err
		}
	}
	return nil
}

func TestSpeedAndPauseAreObeyedAndOutlastARestart(t *testing.T) {
	at, data := system.FreePorts(t), t.TempDir()
	args := append([]string{"--data", data}, at.Args()...)
	p := start(t, args...)
	system.Ready(t, p, at)
	system.Clock(t, at, `{"speed":120,"paused":true}`)
	state := func() (c struct {
		Speed  float64
		Paused bool
	}) {
		if err := system.Get("http://"+at.HTTP+"/api/v1/clock", &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	system.Within(t, 5*time.Second, func() error {
		if c := state(); c.Speed != 120 || !c.Paused {
			return fmt.Errorf("the clock says %+v", c)
		}
		return nil
	})
	p.Kill()
	p = start(t, args...)
	system.Ready(t, p, at)
	if c := state(); c.Speed != 120 || !c.Paused {
		t.Errorf("after a restart the clock says %+v", c)
	}
	for body, want := range map[string]int{`{"speed":0}`: 400, `{"speed":"fast"}`: 400, `{"sped":1}`: 400, `[]`: 400, `{"speed":1`: 400} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at.HTTP+"/api/v1/clock", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != want/100 {
			t.Errorf("%s is answered %s", body, resp.Status)
		}
	}
	p.Stop()
}

func TestWhatStandsInTheWayIsNamedWithTheMend(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked, at := t.TempDir(), system.FreePorts(t)
	holder := start(t, append([]string{"--data", locked}, at.Args()...)...)
	system.Ready(t, holder, at)
	newer := t.TempDir()
	first := system.FreePorts(t)
	p := start(t, append([]string{"--data", newer}, first.Args()...)...)
	system.Ready(t, p, first)
	p.Stop()
	state := filepath.Join(newer, "ell.json")
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for k := range doc {
		if strings.EqualFold(k, "format") || strings.EqualFold(k, "version") {
			doc[k] = 999
		}
	}
	if text, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(state, text, 0o600); err != nil {
		t.Fatal(err)
	}
	perStation, second := t.TempDir(), system.FreePorts(t)
	p = start(t, append([]string{"--data", perStation}, second.Args()...)...)
	system.Ready(t, p, second)
	p.Stop()
	for name, c := range map[string]struct {
		data, flag string
		want       []string
	}{
		"a log of the other layout":     {perStation, "--topics=shared", []string{"--topics per-station", "another data folder"}},
		"a cluster without its brokers": {t.TempDir(), "--kafka-tls=on", []string{"--kafka-tls", "--brokers"}},
		"a busy port of the broker":     {t.TempDir(), "--kafka-addr", []string{"--kafka-addr", busy.Addr().String()}},
		"a busy port of the registry":   {t.TempDir(), "--registry-addr", []string{"--registry-addr", busy.Addr().String()}},
		"a busy port of the REST Proxy": {t.TempDir(), "--gateway-addr", []string{"--gateway-addr", busy.Addr().String()}},
		"a busy port of the website":    {t.TempDir(), "--http-addr", []string{"--http-addr", busy.Addr().String()}},
		"a data folder that is a file":  {file, "", []string{file, "--data"}},
		"a data folder that is in use":  {locked, "", []string{locked, fmt.Sprint(holder.PID())}},
		"a data folder of a newer ell":  {newer, "", []string{newer, "newer"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--data", c.data}, system.FreePorts(t).Args()...)
			if strings.Contains(c.flag, "=") {
				args = append(args, c.flag)
			} else if c.flag != "" {
				args = append(args, c.flag, busy.Addr().String())
			}
			p := start(t, args...)
			select {
			case err := <-p.Done():
				if err == nil {
					t.Error("it ended well")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it runs")
			}
			for _, w := range c.want {
				if !strings.Contains(p.Output(), w) {
					t.Errorf("no word of %q in\n%s", w, p.Output())
				}
			}
			if n := strings.Count(p.Output(), "\n"); n > 4 {
				t.Errorf("%d lines to say one thing:\n%s", n, p.Output())
			}
		})
	}
	holder.Stop()
}

func TestCheckSaysWhatIsWrongAndWhatIsWell(t *testing.T) {
	at := system.FreePorts(t)
	p := start(t, append([]string{"check"}, at.Args()...)...)
	if err := <-p.Done(); err == nil {
		t.Error("nothing runs, and check is content")
	}
	for _, want := range []string{"FAIL  Kafka", at.Kafka, "FAIL  schema registry", "FAIL  REST Proxy", "FAIL  website", "ell serve"} {
		if !strings.Contains(p.Output(), want) {
			t.Errorf("no word of %q in\n%s", want, p.Output())
		}
	}
	more := system.FreePorts(t)
	watched := append([]string{"--metrics-addr", more.HTTP, "--debug-addr", more.Kafka}, at.Args()...)
	city := start(t, append([]string{"--data", t.TempDir()}, watched...)...)
	system.Ready(t, city, at)
	if err := <-start(t, append([]string{"health"}, watched...)...).Done(); err != nil {
		t.Errorf("the whole runs, and is not healthy: %v", err)
	}
	for _, url := range []string{"http://" + more.HTTP + "/metrics", "http://" + more.Kafka + "/debug/pprof/"} {
		if resp, err := http.Get(url); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %v %v", url, resp, err)
		} else {
			resp.Body.Close()
		}
	}
	for _, url := range []string{at.HTTP + "/healthz", at.Registry + "/subjects", at.Gateway + "/topics", more.HTTP + "/metrics", more.Kafka + "/debug/pprof/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.test" // a page of another site, whose name leads here
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s answers for another site's name: %s", url, resp.Status)
		}
	}
	p = start(t, append([]string{"check"}, at.Args()...)...)
	if err := <-p.Done(); err != nil || strings.Contains(p.Output(), "FAIL") {
		t.Errorf("%v:\n%s", err, p.Output())
	}
	city.Stop()
}

func TestAViewerSeesTrainsMoveOnTheStream(t *testing.T) {
	at := system.FreePorts(t)
	begun := time.Now()
	p := start(t, append([]string{"--data", t.TempDir(), "--speed", "30"}, at.Args()...)...)
	system.Ready(t, p, at)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.HTTP+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	places, moves := map[string]string{}, 0
	lines := bufio.NewReader(resp.Body)
	for moves < 20 {
		l, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		data, ok := strings.CutPrefix(l, "data: ")
		if !ok {
			continue
		}
		var frame struct {
			Trains [][]any `json:"trains"`
		}
		if err := json.Unmarshal([]byte(data), &frame); err != nil {
			t.Fatalf("%v in %.200s", err, data)
		}
		for _, tr := range frame.Trains {
			if len(places) == 0 {
				t.Logf("the first train is on the stream %v after the start", time.Since(begun).Round(time.Millisecond))
			}
			id, place := tr[0].(string), fmt.Sprint(tr[1], tr[2])
			if was, ok := places[id]; ok && was != place {
				moves++
			}
			places[id] = place
		}
	}
	p.Stop()
}
