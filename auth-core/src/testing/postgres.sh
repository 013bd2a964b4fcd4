# Runs a PostgreSQL server in a folder until standard input ends:
# sh postgres.sh PROGRAMS FOLDER [-c SETTING=VALUE]...
programs=$1
folder=$2
shift 2
cd /
# Whoever reads our report may be gone already.
trap '' PIPE

fail() {
    tail -n 1 "$folder/log" || echo 'no log was written'
    rm -rf "$folder"
    exit 1
}

"$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N >"$folder/log" 2>&1 || fail
"$programs/postgres" -D "$folder/data" -k "$folder" -p 5432 -c listen_addresses= "$@" \
    </dev/null >"$folder/log" 2>&1 &
server=$!

until grep -q 'ready to accept connections' "$folder/log"; do
    kill -0 "$server" 2>/dev/null || fail
    sleep 0.05
done
echo ready
exec >/dev/null

cat >/dev/null
kill -INT "$server"
wait "$server"
rm -rf "$folder"
