// Package check proves what can be proved of deploy/ without Docker: that the
// compose files are valid, pinned and hardened and set nothing that Ell does not
// know; that the Dockerfile's steps build a static binary that runs as it says;
// that Prometheus takes its configuration and its alerts fire when they should;
// and that every query of dashboards and alerts finds data in a real Prometheus
// which scrapes real roles of Ell.
//
// It is a module of its own, so that Prometheus's and Compose's libraries stay
// out of Ell's. It has tests alone: run them with `make deploy-check`, which
// builds what they need.
package check
