#!/bin/sh
# What the entry points of PostgreSQL's and Redis' official images do, as far as docker-compose.yml needs it: the first start of PostgreSQL
# makes a cluster and runs the SQL of /docker-entrypoint-initdb.d. For the stand-in of `cargo xtask stack-test` alone.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata="$PGDATA" --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust \
        --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''  -c unix_socket_directories=/tmp" --wait start
    for file in /docker-entrypoint-initdb.d/*.sql; do
        psql --username=postgres --host=/tmp --set=ON_ERROR_STOP=1 --quiet --file="$file"
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
if [ "$1" = postgres ]; then
    set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
fi
exec "$@"
