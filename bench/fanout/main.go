//go:build linux

// Command fanout measures the fan-out to viewers: Ell's against its peers', side
// by side, and that of a running ell by itself. README.md says how and what is fair.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"ell/bench/fanout/contest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

const usage = `fanout compare [flags]   every contestant in turn; a table
fanout viewers [flags]   many viewers of a running ell
fanout serve [flags]     one contestant, which compare starts and orders about`

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		fmt.Fprintln(out, usage)
		return nil
	}
	switch args[0] {
	case "compare":
		return compare(ctx, args[1:], out)
	case "viewers":
		return watch(ctx, args[1:], out)
	case "serve":
		fs := flag.NewFlagSet("serve", flag.ContinueOnError)
		name := fs.String("contestant", "ell", "who serves")
		size := fs.Int("frame", 1400, "bytes of a frame")
		if err := fs.Parse(args[1:]); err != nil {
			return err
		}
		c, err := contest.Find(*name)
		if err != nil {
			return err
		}
		return contest.Serve(ctx, c, *size, in, out)
	default:
		return fmt.Errorf("no command %q\n%s", args[0], usage)
	}
}
