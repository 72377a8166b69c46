// Command ell is the Chicago 'L' as an event log: the city, the pipeline and
// the website in one binary. Run without arguments it is the whole system in
// one process; its subcommands are the single roles.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on a second one kills, so that a stop that hangs can be ended.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
