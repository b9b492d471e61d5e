#!/bin/sh
# What the engine costs in instructions, which no other machine or load changes much: a sample, a step, a question to a
# calendar. It needs valgrind.
#
#   bench/engine/instructions.sh [DAYS]
#
# DAYS is how many days of samples lie behind a step or a sample, 1 unless told. Valgrind is some fifty times as slow as
# the machine, so that many take long.
set -eu
cd "$(dirname "$0")/../.."
days=${1:-1}
cargo build --release --quiet -p plimsoll-bench-engine
program=${CARGO_TARGET_DIR:-target}/release/plimsoll-bench-engine

# The instructions within the function `measured` and below, divided by a number of things.
count() {
    things=$1
    shift
    found=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' "$program" "$@" 2>&1 |
        sed -n 's/.*Collected : *//p')
    echo $((found / things))
}

echo "a sample, instructions, under 1,000, 10,000 and 100,000 agreements"
for agreements in 1000 10000 100000; do
    printf '%10d  %s\n' "$agreements" "$(count 120000 sample "$agreements" "$days")"
done
echo "a minute's step that publishes, thousands of instructions"
for agreements in 1000 10000 100000; do
    printf '%10d  %s\n' "$agreements" "$(count 1000 tick "$agreements" "$days")"
done
echo "a question to a calendar, instructions"
for of in elapsed due; do
    printf '%10s  %s\n' "$of" "$(count 1000 "$of")"
done
