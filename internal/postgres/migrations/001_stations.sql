-- The columns of the original assignment. A database that has the table
-- already keeps it, with its rows.
CREATE TABLE IF NOT EXISTS stations (
  stop_id                  integer PRIMARY KEY,
  direction_id             varchar(1),
  stop_name                varchar(70),
  station_name             varchar(70),
  station_descriptive_name varchar(200),
  station_id               integer,
  "order"                  integer,
  red                      boolean,
  blue                     boolean,
  green                    boolean
);
