// Command streams measures Ell's stream processing against its peers: the same
// records in the same topics of the same Apache Kafka, which has one core while
// the contestant has the other. It loads the records, starts each contestant in
// turn as a process of its own, waits until everything is processed, checks the
// results, and prints one table. README.md says how each contestant is tuned.
//
// It deliberately measures from outside: when a contestant begins is what its
// consumer group says, when it ends is the broker's own time stamp of the last
// output, and what it costs is what the kernel says.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	brokers []string
	ell     string // the binary
	goBin   string // folder of the Go contestants
	java    string // folder of the jars
	python  string // the interpreter that has Faust
	here    string // bench/streams
	work    string // scratch: state folders and logs
	out     string // where the raw log goes
	core    string // the contestant's core
	runs    int
	events  int
	only    *regexp.Regexp
}

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	var s settings
	fs := flag.NewFlagSet("streams", flag.ExitOnError)
	brokers := fs.String("brokers", "127.0.0.1:9092", "Apache Kafka")
	part := fs.String("part", "totals", "what to measure: totals, trains or restore")
	only := fs.String("only", ".", "contestants to run, a regular expression")
	fs.StringVar(&s.ell, "ell", "", "the ell binary")
	fs.StringVar(&s.goBin, "go-bin", "", "folder of the Go contestants' binaries")
	fs.StringVar(&s.java, "java", "", "folder of the Kafka Streams contestants' jars")
	fs.StringVar(&s.python, "python", "", "Python interpreter with faust-streaming")
	fs.StringVar(&s.here, "here", ".", "folder of this program's source")
	fs.StringVar(&s.work, "work", filepath.Join(os.TempDir(), "ell-bench"), "folder for state and logs")
	fs.StringVar(&s.out, "out", "", "file to append the raw log to")
	fs.StringVar(&s.core, "core", "1", "the contestant's core")
	fs.IntVar(&s.runs, "runs", 1, "runs of each contestant")
	fs.IntVar(&s.events, "events", 500_000, "records, or keys for restore")
	_ = fs.Parse(args)
	s.brokers = strings.Split(*brokers, ",")
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if err := os.MkdirAll(s.work, 0o755); err != nil {
		return err
	}
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.warmUp(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	begun := time.Now()
	switch *part {
	case "totals":
		err = b.totals(ctx)
	case "trains":
		err = b.trains(ctx)
	case "restore":
		err = b.restore(ctx)
	default:
		err = fmt.Errorf("-part %s: want totals, trains or restore", *part)
	}
	log.Printf("%s took %s", *part, time.Since(begun).Round(time.Second))
	return err
}
