package connect

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// watcher says whether the database may have changed. It holds one connection,
// because SQLite's data_version counts what all others have written.
type watcher struct {
	conn    *sql.Conn
	timeout time.Duration
	counts  bool // the database has data_version

	version, seenVersion int64
	read                 time.Time // when seen was last called
}

func (p *Poller) watch(ctx context.Context) (*watcher, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	conn, err := p.cfg.DB.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the station database: %w: %w", errDatabase, err)
	}
	w := &watcher{conn: conn, timeout: p.cfg.Timeout, counts: true}
	if err := w.ask(ctx); err != nil {
		w.counts = false // not SQLite: read every time
	}
	return w, nil
}

func (w *watcher) ask(ctx context.Context) error {
	return w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&w.version)
}

// changed reports whether a read is worth it.
func (w *watcher) changed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	if w.counts {
		if err := w.ask(ctx); err != nil {
			return false, fmt.Errorf("ask the station database: %w: %w", errDatabase, err)
		}
	}
	return !w.counts || w.version != w.seenVersion || time.Since(w.read) >= readAnyway, nil
}

// seen says that everything up to the last changed was read and sent. A write
// that came in between raises the version once more.
func (w *watcher) seen() {
	w.seenVersion, w.read = w.version, time.Now()
}

func (w *watcher) close() {
	_ = w.conn.Close() // back to the pool; nothing to lose
}
