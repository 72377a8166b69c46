-- What Debezium reads through its replication slot. Made here, by the owner of
-- the tables, so that the connector's own user needs no more than REPLICATION and SELECT.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'ell_stations') THEN
    CREATE PUBLICATION ell_stations FOR TABLE stations, station_lines;
  END IF;
END $$;
