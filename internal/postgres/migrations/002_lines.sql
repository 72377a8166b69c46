-- The other five colours, the place and the lift; and which station is where
-- on which line, which one "order" a stop cannot say.
ALTER TABLE stations
  ADD COLUMN IF NOT EXISTS brown     boolean,
  ADD COLUMN IF NOT EXISTS orange    boolean,
  ADD COLUMN IF NOT EXISTS pink      boolean,
  ADD COLUMN IF NOT EXISTS purple    boolean,
  ADD COLUMN IF NOT EXISTS yellow    boolean,
  ADD COLUMN IF NOT EXISTS latitude  double precision,
  ADD COLUMN IF NOT EXISTS longitude double precision,
  ADD COLUMN IF NOT EXISTS ada       boolean;

CREATE TABLE IF NOT EXISTS station_lines (
  line       varchar(20) NOT NULL,
  station_id integer     NOT NULL,
  "order"    integer,
  PRIMARY KEY (line, station_id)
);
