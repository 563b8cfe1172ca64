#!/bin/sh
# Makes the standby at HOST:PORT the primary, and fences the one before: promote.sh HOST HOST:PORT
set -eu
host=$1 port=${2##*:}
# Debian keeps the server's programs off the path.
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done
ask() {
    psql -X -q -A -t -v ON_ERROR_STOP=1 -U changeover -d postgres -h "$1" -p "$2" -c "$3"
}

sender=$(ask "$host" "$port" "SELECT sender_port FROM pg_stat_wal_receiver")
data=$(ask "$host" "$sender" "SHOW data_directory")
# The fence: whoever led is shut down, which ends its clients, and has sent its standby everything by then.
set -- pg_ctl -D "$data" -m fast -w stop
[ "$(id -u)" != 0 ] || set -- runuser -u "$(stat -c %U "$data")" -- "$@"
"$@" > /dev/null
[ "$(ask "$host" "$port" "SELECT pg_promote()")" = t ]
