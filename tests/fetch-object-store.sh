#!/bin/sh
# Fetches the S3-compatible server that the tests start: moto, from PyPI into a virtual environment (about 320 MB on the disk), once.
# It goes to $PLIMSOLL_OBJECT_STORE_DIR, or to target/object-store. A second call finds it there and does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_OBJECT_STORE_DIR:-${CARGO_TARGET_DIR:-$here/../target}/object-store}
wanted=$(cksum <"$here/object-store/requirements.txt")

if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$wanted" ]; then
    exit 0
fi
python3 -c 'import venv, ensurepip' 2>/dev/null || {
    echo "fetch-object-store: python3 with venv is not there; install it (Debian: apt-get install python3-venv)" >&2
    exit 1
}

# A broken download must not look complete.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/complete" "$folder/venv"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/object-store/requirements.txt" >&2 || {
    echo "fetch-object-store: pip could not fetch moto (see above); is PyPI or a mirror of it reachable?" >&2
    exit 1
}
echo "$wanted" >"$folder/complete"
