package stack

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ell/internal/event"
	"ell/test/system"
)

// TestAFullDiskOfABrokerStopsThatBrokerAndNothingElse gives one of three brokers
// a small disk of its own and fills it.
func TestAFullDiskOfABrokerStopsThatBrokerAndNothingElse(t *testing.T) {
	long(t)
	if os.Getuid() != 0 {
		t.Skip("only root can make a small disk (tmpfs)")
	}
	c := newCluster(t, 3)
	disk := filepath.Join(c.dir, "kafka-3")
	if err := os.Mkdir(disk, 0o755); err != nil { //nolint:gosec // a broker's folder
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2g"); err != nil {
		t.Skipf("no small disk to be had here: mount tmpfs: %v", err)
	}
	t.Cleanup(func() { // after the broker has been stopped, before the folder is wiped
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c.first()
	p := c.start(event.PerStation, c.bootstrap(), "gateway", "simulate", "stations", "process", "serve")
	p.ready()

	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	begun := time.Now()
	system.Within(t, 2*time.Minute, func() error {
		if c.runs("kafka-3") {
			return fmt.Errorf("the broker still runs on a full disk")
		}
		return nil
	})
	stopped := time.Now()
	t.Logf("the broker stopped %v after its disk was full", stopped.Sub(begun).Round(100*time.Millisecond))
	t.Logf("work goes on after %v", p.recovered(stopped, time.Minute).Round(100*time.Millisecond))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	c.up("kafka")
	p.inSync(2 * time.Minute)
	t.Logf("with room again the broker is in sync; %d records on the log are the undisturbed city's, and all totals follow", p.finish())
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	n, _ := f.Seek(0, io.SeekEnd)
	t.Logf("%d MB fill the disk: %v", n>>20, err)
}
