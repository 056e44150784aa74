#!/usr/bin/env bash
# A temporary PostgreSQL for the tests: `start` prints its DATABASE_URL, `stop` ends it and deletes its files. `resume`
# starts it again after its processes were killed.
# It listens only on a socket, in a folder that only its owner can open: no port, no password.
set -euo pipefail
# one per user and checkout, so that they do not stop each other's
folder="${TMPDIR:-/tmp}/pilah-postgres-$(id -u)-$(cd "$(dirname "$0")" && pwd -P | cksum | cut -d ' ' -f 1)"
url="postgresql+psycopg://postgres@/postgres?host=$folder/socket"

# the newest of Debian's versions, else the one on the path
programs="$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)"
export PATH="${programs:+$programs:}$PATH"

as_owner() { # PostgreSQL does not run as root
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- env PATH="$PATH" "$@"); else "$@"; fi
}

start() {
    command -v initdb >/dev/null || { echo "tests/postgres.sh needs PostgreSQL. Install it: apt-get install postgresql" >&2; exit 1; }
    if ! as_owner pg_ctl -D "$folder/data" status >/dev/null 2>&1; then
        rm -rf "$folder"
        mkdir -p -m 700 "$folder"
        [ "$(id -u)" -ne 0 ] || chown postgres "$folder"
        as_owner mkdir "$folder/socket"
        as_owner initdb -D "$folder/data" -U postgres --auth trust --encoding UTF8 --no-sync >/dev/null
        resume
    fi
    echo "$url"
}

resume() {
    as_owner pg_ctl -D "$folder/data" -l "$folder/log" -w -o "-F -k $folder/socket -c listen_addresses=''" start >/dev/null
}

stop() {
    as_owner pg_ctl -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    resume) resume ;;
    *) echo "usage: tests/postgres.sh start|stop|resume (got '${1:-}')" >&2; exit 2 ;;
esac
