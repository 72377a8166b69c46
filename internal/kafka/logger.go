package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLogger passes the client library's log on, two levels down: what it
// calls an error (a broker away, a request to be retried) is information here,
// because whoever made the request gets the error itself and says it once.
type clientLogger struct{ log *slog.Logger }

// Level tells the library what is worth formatting.
func (l clientLogger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.log.Enabled(ctx, slog.LevelInfo):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

// Log implements kgo.Logger.
func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	at := slog.LevelDebug
	if level == kgo.LogLevelError {
		at = slog.LevelInfo
	}
	l.log.Log(context.Background(), at, "kafka client", append([]any{"what", msg}, keyvals...)...)
}
