#!/usr/bin/env bash
# Stand-in for the entry point of the image postgres: makes the database in an empty PGDATA, then runs "$@" as postgres.
set -eu
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p "$PGDATA" /run/postgresql
    chown -R postgres "$PGDATA"
    chown postgres /run/postgresql
    chmod 700 "$PGDATA"
    chmod 3777 /run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") --auth-host scram-sha-256 \
        --encoding UTF8 --locale C.UTF-8
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start # on the socket only
    psql --username "$POSTGRES_USER" --dbname postgres --no-psqlrc -v ON_ERROR_STOP=1 \
        --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db"'
    pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@" -c listen_addresses='*'
