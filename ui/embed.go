// Package ui carries the built website in the binary. Its source is beside it;
// dist is what Vite makes of that.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var files embed.FS

// Dist is the built website: index of its files and all of them.
func Dist() fs.FS {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic("ui: dist is not embedded: " + err.Error()) // impossible: the build embeds it
	}
	return dist
}
