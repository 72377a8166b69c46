// Package ui holds the built website (ui/dist), made by `make ui` from the
// TypeScript beside it. It has files and nothing else: internal/web serves them.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var files embed.FS

// Dist is the built website: assets/ and manifest.json.
var Dist fs.FS = mustSub(files)

func mustSub(f embed.FS) fs.FS {
	sub, err := fs.Sub(f, "dist")
	if err != nil {
		panic(err) // cannot be: the name is valid
	}
	return sub
}
