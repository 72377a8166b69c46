package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strings"

	"ell/internal/cta"
)

//go:embed static
var staticFiles embed.FS

// assets are the files of the website, read once and held in memory: the built
// app, and the server's own style for pages without it. Only names that were
// there at the start are served, so no path can lead elsewhere.
type assets struct {
	files   map[string]*document // by path without the leading slash
	scripts []string             // module scripts, in order
	preload []string             // modules they import
	styles  []string
}

const (
	cacheForever = "public, max-age=31536000, immutable" // the name has a hash of the content
	cacheAsk     = "no-cache"
)

// loadAssets reads the built website. dist may be nil or empty; it may also be the
// folder that has "dist" in it.
func loadAssets(dist fs.FS, n *cta.Network) (*assets, error) {
	a := &assets{files: make(map[string]*document)}
	if err := a.addOwn(n); err != nil {
		return nil, err
	}
	if dist == nil {
		return a, nil
	}
	if sub, err := fs.Sub(dist, "dist"); err == nil {
		if info, err := fs.Stat(sub, "."); err == nil && info.IsDir() {
			dist = sub
		}
	}
	err := fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "index.html" || strings.HasPrefix(name, ".") {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		cache := cacheAsk
		if strings.HasPrefix(name, "assets/") {
			cache = cacheForever
		}
		return a.add(name, cache, body)
	})
	if err != nil {
		return nil, fmt.Errorf("read website files: %w", err)
	}
	return a, a.readManifest(dist)
}

func (a *assets) add(name, cache string, body []byte) error {
	d, err := newDocument(contentType(name), cache, body)
	if err != nil {
		return err
	}
	a.files[name] = d
	return nil
}

// contentType is fixed for what the website has, so that it does not hang on the
// machine's own tables.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

var hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// addOwn adds plain.css, with a rule per line's colour, the icon and openapi.json.
func (a *assets) addOwn(n *cta.Network) error {
	css, err := staticFiles.ReadFile("static/plain.css")
	if err != nil {
		return fmt.Errorf("read own style: %w", err)
	}
	var b bytes.Buffer
	b.Write(css)
	for _, l := range n.Lines {
		if !hexColor.MatchString(l.Color) || strings.ContainsAny(l.ID, " {}<>\"'\\;.#") {
			return fmt.Errorf("make style: line %q has colour %q, it has to be like #c60c30", l.ID, l.Color)
		}
		fmt.Fprintf(&b, ".plain .line-%s { border-color: %s; }\n", l.ID, l.Color)
	}
	if err := a.add("plain.css", cacheAsk, b.Bytes()); err != nil {
		return err
	}
	for _, name := range []string{"openapi.json", "icon.svg"} {
		body, err := staticFiles.ReadFile("static/" + name)
		if err != nil {
			return fmt.Errorf("read own file: %w", err)
		}
		if err := a.add(name, cacheAsk, body); err != nil {
			return err
		}
	}
	return nil
}

// readManifest finds the entry of the app in Vite's manifest.
func (a *assets) readManifest(dist fs.FS) error {
	body, err := fs.ReadFile(dist, ".vite/manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		body, err = fs.ReadFile(dist, "manifest.json")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read website manifest: %w", err)
	}
	type chunk struct {
		File    string   `json:"file"`
		IsEntry bool     `json:"isEntry"`
		CSS     []string `json:"css"`
		Imports []string `json:"imports"`
	}
	var manifest map[string]chunk
	if err := json.Unmarshal(body, &manifest); err != nil {
		return fmt.Errorf("read website manifest: %w", err)
	}
	seen := make(map[string]bool)
	var visit func(name string, c chunk)
	visit = func(name string, c chunk) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, css := range c.CSS {
			a.styles = append(a.styles, "/"+css)
		}
		for _, i := range c.Imports {
			if next, ok := manifest[i]; ok && !seen[i] {
				a.preload = append(a.preload, "/"+next.File)
				visit(i, next)
			}
		}
	}
	for name, c := range manifest {
		if !c.IsEntry || path.Ext(c.File) != ".js" {
			continue
		}
		if a.files[c.File] == nil {
			return fmt.Errorf("read website manifest: it names %q, which is not there; build the website again (make ui)", c.File)
		}
		a.scripts = append(a.scripts, "/"+c.File)
		visit(name, c)
	}
	return nil
}

// file serves a file of the website by its exact name.
func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	d := s.assets.files[strings.TrimPrefix(r.URL.Path, "/")]
	if d == nil || d == s.assets.files["openapi.json"] {
		s.notFound(w, r)
		return
	}
	d.ServeHTTP(w, r)
}

// static serves one file at an address of its own.
func (a *assets) static(name string) http.Handler { return a.files[name] }
