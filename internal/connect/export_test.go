package connect

import "net/http"

// SetTransport replaces how c reaches its cluster.
func SetTransport(c *Client, t http.RoundTripper) { c.http.Transport = t }

// SetLock replaces PostgreSQL's statement that keeps writers out of table %s.
func SetLock(a *Audit, statement string) { a.lock = statement }
