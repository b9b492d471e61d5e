#!/bin/sh
# Fetches the clients that the tests ask through, once: psycopg, SQLAlchemy, Polars, Schemathesis and ADBC's driver of
# Flight SQL, from PyPI into a virtual environment (about 670 MB on the disk), and the JDBC drivers of Postgres and Flight SQL, from
# Maven Central.
# It goes to $PLIMSOLL_CLIENTS_DIR, or to target/clients. A second call finds it there and does nothing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${PLIMSOLL_CLIENTS_DIR:-${CARGO_TARGET_DIR:-$here/../target}/clients}
wanted=$(cat "$here/clients/requirements.txt" "$here/clients/pom.xml" | cksum)

if [ -f "$folder/complete" ] && [ "$(cat "$folder/complete")" = "$wanted" ]; then
    exit 0
fi
python3 -c 'import venv, ensurepip' 2>/dev/null || {
    echo "fetch-clients: python3 with venv is not there; install it (Debian: apt-get install python3-venv)" >&2
    exit 1
}

for tool in java mvn; do
    command -v "$tool" >/dev/null || {
        echo "fetch-clients: $tool is not on the PATH; install a JDK 17 or later and Maven" \
            "(Debian: apt-get install openjdk-17-jdk-headless maven)" >&2
        exit 1
    }
done

# A broken download must not look complete.
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -rf "$folder/complete" "$folder/venv" "$folder/jars"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/clients/requirements.txt" >&2 || {
    echo "fetch-clients: pip could not fetch them (see above); is PyPI or a mirror of it reachable?" >&2
    exit 1
}
mvn -q -B -Dstyle.color=never -f "$here/clients/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder/jars" >&2 || {
    echo "fetch-clients: maven could not fetch the drivers (see above); is Maven Central or a mirror of it reachable?" >&2
    exit 1
}
echo "$wanted" >"$folder/complete"
