# Keeps one PostgreSQL server: sh cluster.sh PROGRAMS FOLDER PORT, with commands on standard input.
# When that ends, the server is stopped and the folder removed.
programs=$1
folder=$2
port=$3
server=
cd /
# Whoever reads our answers may be gone already.
trap '' PIPE

answer() {
    if [ "$1" = 0 ]; then
        echo "done $server"
    else
        echo "failed: $(tail -n 1 "$folder/log")"
    fi
}

children() {
    cat "/proc/$server/task/$server/children"
}

start() {
    : >"$folder/log"
    "$programs/postgres" -D "$folder/data" -k "$folder" -p "$port" -c listen_addresses=127.0.0.1 \
        </dev/null >>"$folder/log" 2>&1 &
    server=$!
    until grep -q 'ready to accept' "$folder/log"; do
        kill -0 "$server" 2>/dev/null || return 1
        sleep 0.02
    done
}

while read -r command argument; do
    case $command in
    create)
        "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N >"$folder/log" 2>&1
        answer $?
        ;;
    copy)
        "$programs/pg_basebackup" -h 127.0.0.1 -p "$argument" -U postgres -D "$folder/data" \
            --write-recovery-conf --wal-method=stream --checkpoint=fast >"$folder/log" 2>&1
        answer $?
        ;;
    start)
        start
        answer $?
        ;;
    # Connections are cut, and the log is written to its end.
    stop)
        kill -INT "$server"
        wait "$server"
        server=
        answer 0
        ;;
    # No process would let the next server start while it uses the memory of this one.
    crash)
        kill -KILL "$server" $(children)
        wait "$server" 2>/dev/null
        server=
        answer 0
        ;;
    esac
done

if [ -n "$server" ]; then
    # It may have been paused.
    kill -CONT "$server" $(children)
    kill -QUIT "$server"
    wait "$server"
fi
rm -rf "$folder"
