#!/bin/sh
# Stops whichever of the two still runs: stop.sh DIRECTORY
[ "$(id -u)" != 0 ] || exec runuser -u postgres -- sh "$0" "$@"
# Debian keeps the server's programs off the path.
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done
for server in primary standby; do
    pg_ctl -D "$1/$server" status > /dev/null 2>&1 && pg_ctl -D "$1/$server" -m immediate -w stop > /dev/null
done
exit 0
