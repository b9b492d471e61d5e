#!/bin/sh
# Fetches the clients that the tests ask through: psycopg, SQLAlchemy and Polars, from PyPI into a virtual environment (about 400 MB on the disk), once.
# It goes to $PLIMSOLL_CLIENTS_DIR, or to target/clients. A second call finds it there and does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_CLIENTS_DIR:-${CARGO_TARGET_DIR:-$here/../target}/clients}
wanted=$(cksum <"$here/clients/requirements.txt")

if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$wanted" ]; then
    exit 0
fi
python3 -c 'import venv, ensurepip' 2>/dev/null || {
    echo "fetch-clients: python3 with venv is not there; install it (Debian: apt-get install python3-venv)" >&2
    exit 1
}

# A broken download must not look complete.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/complete" "$folder/venv"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/clients/requirements.txt" >&2 || {
    echo "fetch-clients: pip could not fetch them (see above); is PyPI or a mirror of it reachable?" >&2
    exit 1
}
echo "$wanted" >"$folder/complete"
