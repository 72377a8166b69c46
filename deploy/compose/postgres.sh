#!/usr/bin/env bash
# Runs once, in an empty database cluster: the role that owns the stations and may replicate, no more.
# The password goes from file to server by psql itself and stands in no process list.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U postgres <<'SQL'
\set password `cat /run/secrets/postgres_password`
create role cta_admin login replication password :'password';
create database cta owner cta_admin;
SQL
