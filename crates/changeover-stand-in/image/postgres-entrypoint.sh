#!/bin/sh
# Starts PostgreSQL as Docker's official image does, as far as Changeover asks for it: POSTGRES_USER, POSTGRES_DB,
# POSTGRES_HOST_AUTH_METHOD=trust, PGPORT, /docker-entrypoint-initdb.d/*.sql, and a first word `postgres`.
set -eu
data=/var/lib/postgresql/data
as_postgres() { setpriv --reuid=999 --regid=999 --clear-groups -- "$@"; }
if [ "$1" != postgres ] || [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "this image starts postgres with trust, and nothing else" >&2
    exit 2
fi
shift
if [ ! -s "$data/PG_VERSION" ]; then
    mkdir -p "$data"
    chown 999:999 "$data"
    chmod 700 "$data"
    as_postgres initdb --no-sync --no-locale --encoding=UTF8 --auth=trust --username="$POSTGRES_USER" -D "$data"
    echo "host all all all trust" >> "$data/pg_hba.conf"
    as_postgres pg_ctl -D "$data" -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp -p $PGPORT" start
    sql() { psql -v ON_ERROR_STOP=1 -h /tmp -p "$PGPORT" -U "$POSTGRES_USER" "$@"; }
    [ "$POSTGRES_DB" = postgres ] || sql -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
    for file in /docker-entrypoint-initdb.d/*.sql; do
        sql -d "$POSTGRES_DB" -f "$file"
    done
    as_postgres pg_ctl -D "$data" -w -m fast stop
fi
exec setpriv --reuid=999 --regid=999 --clear-groups -- postgres -D "$data" -p "$PGPORT" -c unix_socket_directories=/tmp "$@"
