package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"ell/internal/cta"
	"ell/internal/embedded"
	"ell/internal/event"
	"ell/internal/kafka"
)

func options(dir string) embedded.Options {
	return embedded.Options{
		DataDir: dir, KafkaAddr: "127.0.0.1:0", RegistryAddr: "127.0.0.1:0", Network: cta.Chicago(), MinFree: -1,
	}
}

// open starts a stack on dir that the test closes (again, harmlessly) at its end.
func open(t *testing.T, o embedded.Options) *embedded.Stack {
	t.Helper()
	s, err := embedded.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func closeStack(t *testing.T, s *embedded.Stack) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kafka.Config{Brokers: []string{addr}}.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// create makes topics the way every role does.
func create(t *testing.T, addr string, specs ...event.TopicSpec) {
	t.Helper()
	if _, err := kafka.EnsureTopics(within(t, 5*time.Second), client(t, addr), specs, 1); err != nil {
		t.Fatal(err)
	}
}

// records reads a topic to its end and returns "key=value" in order.
func records(t *testing.T, addr, topic string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, 10*time.Second))
	defer cancel()
	var got []string
	caught := false
	f, err := kafka.NewFollower(kafka.Follow{
		Config: kafka.Config{Brokers: []string{addr}}, Topics: []string{topic},
		Batch: func(_ context.Context, batch []event.Record) error {
			for _, r := range batch {
				got = append(got, fmt.Sprintf("%s=%s", r.Key, r.Value))
			}
			return nil
		},
		CaughtUp: func() { caught = true; cancel() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(ctx); err != nil || !caught {
		t.Fatalf("read %s: caught up %v, %v", topic, caught, err)
	}
	return got
}

func TestAnEmptyFolderStartsFastAndIsPrivate(t *testing.T) {
	cta.Chicago()
	dir := filepath.Join(t.TempDir(), "ell")
	began := time.Now()
	s := open(t, options(dir))
	t.Logf("start on an empty folder: %v", time.Since(began))
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder has mode %v, %v; want 0700", info.Mode().Perm(), err)
	}
	if s.Boot() != 1 {
		t.Errorf("boot %d, want 1", s.Boot())
	}
	var stations, lines int
	if err := s.DB().QueryRow("SELECT (SELECT count(*) FROM stations), (SELECT count(*) FROM station_lines)").Scan(&stations, &lines); err != nil {
		t.Fatal(err)
	}
	if stations < 300 || lines < 144 {
		t.Errorf("%d stations, %d station_lines", stations, lines)
	}
	began = time.Now()
	closeStack(t, s)
	t.Logf("close: %v", time.Since(began))
	began = time.Now()
	s = open(t, options(dir))
	t.Logf("start again: %v", time.Since(began))
	if s.Boot() != 2 {
		t.Errorf("boot %d, want 2", s.Boot())
	}
}

func TestFaultsOfTheFolderAreNamedWithTheirMend(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string) embedded.Options
		want    []string
	}{
		"another process holds it": {func(t *testing.T, dir string) embedded.Options {
			open(t, options(dir))
			return options(dir)
		}, []string{"in use by process", fmt.Sprint(os.Getpid()), "--data"}},
		"a newer version wrote it": {func(t *testing.T, dir string) embedded.Options {
			write(t, filepath.Join(dir, "ell.json"), `{"version":99,"boot":1}`)
			return options(dir)
		}, []string{"newer ell", "99", "--data"}},
		"its state is damaged": {func(t *testing.T, dir string) embedded.Options {
			write(t, filepath.Join(dir, "ell.json"), `{"vers`)
			return options(dir)
		}, []string{"ell.json is damaged", "--data"}},
		"it is someone else's folder": {func(t *testing.T, dir string) embedded.Options {
			write(t, filepath.Join(dir, "thesis.tex"), `x`)
			return options(dir)
		}, []string{"not one of ell's", "thesis.tex", "--data"}},
		"it is a file": {func(t *testing.T, dir string) embedded.Options {
			write(t, filepath.Join(dir, "f"), `x`)
			return options(filepath.Join(dir, "f"))
		}, []string{"create data folder", "--data"}},
		"its name is empty": {func(*testing.T, string) embedded.Options { return options("") }, []string{"--data"}},
		"the broker's port is busy": {func(t *testing.T, dir string) embedded.Options {
			o := options(dir)
			o.KafkaAddr = open(t, options(t.TempDir())).KafkaAddr()
			return o
		}, []string{"Kafka broker", "--kafka-addr"}},
		"the registry's port is busy": {func(t *testing.T, dir string) embedded.Options {
			o := options(dir)
			o.RegistryAddr = open(t, options(t.TempDir())).KafkaAddr()
			return o
		}, []string{"schema registry", "--registry-addr"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.prepare(t, t.TempDir())
			s, err := embedded.Open(t.Context(), o)
			if err == nil {
				_ = s.Close()
				t.Fatal("it started")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestAStartThatFailsLeavesTheFolderFree(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.KafkaAddr = open(t, options(t.TempDir())).KafkaAddr()
	if s, err := embedded.Open(t.Context(), o); err == nil {
		_ = s.Close()
		t.Fatal("it started")
	}
	open(t, options(dir))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsOffsetsAndTopicsSurviveACleanRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, options(dir))
	var refs []event.StationRef
	for _, st := range cta.Chicago().Stations {
		refs = append(refs, event.StationRef{ID: st.ID, Slug: st.Slug})
	}
	names := event.Names{Prefix: event.DefaultPrefix, Layout: event.PerStation}
	specs := names.Specs(refs, event.EmbeddedRetention(names.Layout))
	began := time.Now()
	create(t, s.KafkaAddr(), specs...)
	t.Logf("%d topics in %v", len(specs), time.Since(began))
	cl := client(t, s.KafkaAddr())
	for _, spec := range specs {
		cl.Produce(t.Context(), &kgo.Record{Topic: spec.Name, Key: []byte("k"), Value: []byte(spec.Name)}, nil)
	}
	if err := cl.Flush(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	closeStack(t, s)
	t.Logf("close with %d topics: %v", len(specs), time.Since(began))
	began = time.Now()
	s = open(t, options(dir))
	t.Logf("start with %d topics: %v (%+v)", len(specs), time.Since(began), s.Recovered())
	for _, spec := range []event.TopicSpec{specs[0], specs[200], specs[len(specs)-1]} {
		if got := records(t, s.KafkaAddr(), spec.Name); len(got) != 1 || got[0] != "k="+spec.Name {
			t.Errorf("%s holds %v", spec.Name, got)
		}
	}
	report, err := kafka.EnsureTopics(within(t, 5*time.Second), client(t, s.KafkaAddr()), specs, 1)
	if err != nil || len(report.Created) > 0 || len(report.Differences) > 0 {
		t.Errorf("topics after a restart: created %v, differences %v, %v", report.Created, report.Differences, err)
	}
}
