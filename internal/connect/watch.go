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
	query   string // for the version; "": read every time
	timeout time.Duration

	version, seenVersion string
	read                 time.Time // when seen was last called
}

func (p *Poller) watch(ctx context.Context) (*watcher, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	conn, err := p.cfg.DB.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the station database: %w: %w", errDatabase, err)
	}
	return &watcher{conn: conn, query: p.cfg.Version, timeout: p.cfg.Timeout}, nil
}

// changed reports whether a read is worth it.
func (w *watcher) changed(ctx context.Context) (bool, error) {
	if w.query == "" {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	if err := w.conn.QueryRowContext(ctx, w.query).Scan(&w.version); err != nil {
		return false, fmt.Errorf("ask the station database: %w: %w", errDatabase, err)
	}
	return w.version != w.seenVersion || time.Since(w.read) >= readAnyway, nil
}

// seen says that everything up to the last changed was read and sent. A write
// that came in between changes the version once more.
func (w *watcher) seen() {
	w.seenVersion, w.read = w.version, time.Now()
}

func (w *watcher) close() {
	_ = w.conn.Close() // back to the pool; nothing to lose
}
