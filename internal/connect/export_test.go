package connect

import "net/http"

// SetTransport replaces how c reaches its cluster.
func SetTransport(c *Client, t http.RoundTripper) { c.http.Transport = t }
