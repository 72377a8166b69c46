package connect_test

import (
	"regexp"
	"strings"
	"testing"

	"ell/internal/connect"
)

func debezium() connect.Debezium {
	return connect.Debezium{
		Host: "db", Port: 5432, Database: "cta", Schema: "public", User: "u", Password: "${file:/x:p}", Publication: "p",
		TLS:      map[string]string{"sslmode": "verify-full"},
		Stations: "org.chicago.cta.stations", StationLines: "org.chicago.cta.station_lines", Heartbeats: "org.chicago.cta.connect.offsets",
	}
}

func TestDebeziumRoutesBothTablesAndKeepsNoDefaultPassword(t *testing.T) {
	d := debezium()
	c, err := d.Config()
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"table.include.list":              `public\.stations,public\.station_lines`,
		"transforms.stations.regex":       `^ell\.public\.stations$`,
		"transforms.stations.replacement": "org.chicago.cta.stations",
		"transforms.lines.regex":          `^ell\.public\.station_lines$`,
		"database.password":               "${file:/x:p}",
		"database.port":                   "5432",
		"database.sslmode":                "verify-full",
		"slot.name":                       "org_chicago_cta_stations_source",
	} {
		if c[k] != want {
			t.Errorf("%s is %q, want %q", k, c[k], want)
		}
	}
	if c := c["column.include.list"]; !strings.Contains(c, `public\.stations\.order,`) || !strings.HasSuffix(c, `public\.station_lines\.order`) {
		t.Errorf("columns %s", c)
	}
	for _, spoil := range []func(*connect.Debezium){
		func(d *connect.Debezium) { d.Host = "" },
		func(d *connect.Debezium) { d.Port = 0 },
		func(d *connect.Debezium) { d.Heartbeats = "" },
	} {
		d := debezium()
		spoil(&d)
		if _, err := d.Config(); err == nil {
			t.Errorf("%+v was taken", d)
		}
	}
}

func TestSlotNamesAreOnesThatPostgreSQLTakesAndOneForEachPrefix(t *testing.T) {
	legal := regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	seen := map[string]string{}
	for _, prefix := range []string{"", "org.chicago.cta.", "Test-1.", strings.Repeat("a", 99) + "1", strings.Repeat("a", 99) + "2"} {
		slot := connect.Debezium{Stations: prefix + "stations"}.Slot()
		if !legal.MatchString(slot) {
			t.Errorf("prefix %q has slot %q", prefix, slot)
		}
		if other, taken := seen[slot]; taken {
			t.Errorf("prefixes %q and %q share slot %q", prefix, other, slot)
		}
		seen[slot] = prefix
	}
}
