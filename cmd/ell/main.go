// Command ell is the Chicago 'L' as an event log: the city, the pipeline and
// the website in one binary. Run without arguments it is the whole system in
// one process; its subcommands are the single roles.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on a second one kills, so that a stop that hangs can be ended.
	context.AfterFunc(ctx, stop)
	overlap()
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// overlap lets the network be served on one core, too, while something computes.
// With one processor of its own the runtime looks for what has come only when it
// has nothing else to do, or after 10 ms; with two the kernel wakes the one that
// waits. The runtime keeps two itself under a container's limit of time, but not
// on a machine of one core. Whoever sets GOMAXPROCS has the last word.
func overlap() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}
