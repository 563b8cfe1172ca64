#!/bin/sh
# Starts a primary and its standby in a new directory: start.sh DIRECTORY PRIMARY_PORT STANDBY_PORT
set -eu
# PostgreSQL does not run as root.
[ "$(id -u)" != 0 ] || exec runuser -u postgres -- sh "$0" "$@"
dir=$1 primary=$2 standby=$3
# Debian keeps the server's programs off the path.
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done

initdb -D "$dir/primary" -U changeover -A trust > "$dir/initdb.log"
configure() {
    printf '%s\n' "port = $2" "cluster_name = '$3'" "listen_addresses = '127.0.0.1'" \
        "unix_socket_directories = '$dir'" >> "$1/postgresql.conf"
}
configure "$dir/primary" "$primary" v1.0.0
pg_ctl -D "$dir/primary" -l "$dir/primary.log" -w start > /dev/null
pg_basebackup -D "$dir/standby" -h 127.0.0.1 -p "$primary" -U changeover -R -c fast
configure "$dir/standby" "$standby" v2.0.0
pg_ctl -D "$dir/standby" -l "$dir/standby.log" -w start > /dev/null
