#!/bin/sh
# Judges three real logs with Plimsoll and with independent computations in Python, and compares every row.
#
#   tests/real/compare.sh [PLIMSOLL_BINARY]      the debug build unless told
#
# PLIMSOLL_DATA     the folder of the logs; ../shared/data beside the repository unless told
# PLIMSOLL_ORACLES  a Python environment with tests/oracles/requirements.txt; made in target/oracles unless told
# Exits 1 when any row differs, and 0 with a line that says so when the logs are absent.
set -eu

repository=$(cd "$(dirname "$0")/../.." && pwd)
plimsoll=${1:-${CARGO_TARGET_DIR:-$repository/target}/debug/plimsoll}
data=${PLIMSOLL_DATA:-$repository/../shared/data}
environment=${PLIMSOLL_ORACLES:-$repository/target/oracles}
python=$environment/bin/python
export PYTHONDONTWRITEBYTECODE=1

for log in itsm-incidents uptime-dhbern changes-openstack; do
    if [ ! -d "$data/$log" ]; then
        echo "skipped: $data/$log is not there; PLIMSOLL_DATA names the folder of the logs"
        exit 0
    fi
done
if ! command -v "$plimsoll" > /dev/null; then
    echo "$plimsoll is not there; build it with \`cargo build\` or name it: $0 PLIMSOLL_BINARY" >&2
    exit 1
fi
if ! "$python" -c "import pandas" 2> /dev/null; then
    echo "making a Python environment in $environment"
    python3 -m venv "$environment"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$repository/tests/oracles/requirements.txt"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
differs=0

# compare LOG TABLES AS_OF FILE...
compare() {
    log=$1 tables=$2 as_of=$3
    shift 3
    echo "== $log as of $as_of"
    if "$plimsoll" judge --definitions "$repository/tests/real/$log/definitions" --events "$@" --as-of "$as_of" \
            --show "$tables" --format json > "$work/judge.json" \
        && "$python" "$repository/tests/oracles/$log.py" --data "$data" --as-of "$as_of" --out "$work/expected.csv" \
        && "$python" "$repository/tests/oracles/compare.py" --judge "$work/judge.json" --expected "$work/expected.csv"
    then :; else
        differs=1
    fi
}

# Each log is judged well after its end, and in its middle, where clocks run and windows are open.
python3 "$repository/tests/real/changes/prepare.py" "$data" "$work"
for as_of in 2026-10-01T00:00:00Z 2014-11-05T01:02:03Z; do
    compare changes attainment "$as_of" "$work/changes_finished.csv" "$work/changes_reverted.csv"
done
for as_of in 2026-10-01T00:00:00Z 2026-05-17T13:37:11Z; do
    compare uptime attainment,outages "$as_of" "$data/uptime-dhbern/observations.csv.gz"
done
for as_of in 2017-06-01T00:00:00Z 2016-03-18T10:30:00Z; do
    compare incidents attainment,clocks "$as_of" "$data/itsm-incidents/incident_event_log.csv.gz"
done
exit "$differs"
