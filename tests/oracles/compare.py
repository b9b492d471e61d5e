#!/usr/bin/env python3
"""Compares what `plimsoll judge` printed with what an oracle expects, every row, in both directions.

    compare.py --judge JUDGE.json|JUDGE.csv --expected EXPECTED.csv [--table TABLE]

JUDGE.json is `judge --format json`; of a CSV, which holds one table, --table says which. A retracted row is no row. The
form of EXPECTED.csv: see expected.py. Prints the first differences of each table and exits 1 if there is any.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from expected import INSTANTS, KEYS

SHOWN_MAX = 20  # differences that are printed of each table


def read_judge(path, table):
    """{table: frame of texts} of what judge printed."""
    if path.suffix == ".json":
        # Numbers stay the texts that they are: no float comes in between.
        answer = json.loads(path.read_text(), parse_float=str, parse_int=str)
        return {name: pd.DataFrame(rows, dtype=object) for name, rows in answer.items()}
    if not table:
        sys.exit(f"{path} is a CSV of one table; say which with --table")
    return {table: pd.read_csv(path, dtype=str, keep_default_na=False)}


def canonical(frame, columns):
    """The columns as texts, instants in microseconds, nothing as an empty text."""
    frame = frame.reindex(columns=columns).astype(object)
    for column in columns:
        if column in INSTANTS:
            instants = pd.to_datetime(frame[column].replace("", None), utc=True, format="ISO8601")
            frame[column] = instants.dt.as_unit("us").dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return frame.fillna("").astype(str)


def compare(table, judged, expected):
    """The differences of one table as lines, and how many rows were expected."""
    if "retracted" in judged:
        judged = judged[~judged.retracted.isin([True, "true"])]
    if judged.empty and len(judged.columns) == 0:
        judged = pd.DataFrame(columns=expected.columns)
    keys = KEYS[table]
    columns = [column for column in expected.columns if column in judged.columns]
    found, wanted = canonical(judged, columns), canonical(expected, columns)
    for name, frame in (("found", found), ("expected", wanted)):
        if frame.duplicated(keys).any():
            return [f"{name} twice: {key}" for key in frame.loc[frame.duplicated(keys), keys].agg(" ".join, axis=1)], 0
    both = wanted.merge(found, on=keys, how="outer", suffixes=("", " found"), indicator=True)
    lines = []
    for side, what in (("left_only", "missing"), ("right_only", "not expected")):
        lines += [f"{what}: {' '.join(row)}" for row in both.loc[both._merge == side, keys].to_numpy()]
    both = both[both._merge == "both"]
    values = [column for column in columns if column not in keys]
    differing = Counter()
    for column in values:
        wrong = both[both[column] != both[column + " found"]]
        differing[column] = len(wrong)
        for row in wrong.to_dict("records"):
            key = " ".join(row[name] for name in keys)
            lines.append(f"{key}: {column}: expected {row[column]!r}, found {row[column + ' found']!r}")
    summary = ", ".join(f"{column} {count}" for column, count in differing.items() if count)
    print(f"{table}: {len(wanted)} rows of {len(values) + len(keys)} columns expected, {len(found)} found, "
          f"{len(lines)} differences{': ' + summary if summary else ''}")
    return lines, len(wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--expected", type=Path, required=True)
    parser.add_argument("--table", choices=KEYS)
    given = parser.parse_args()
    expected = pd.read_csv(given.expected, dtype=str, keep_default_na=False)
    judged = read_judge(given.judge, given.table)
    differences = 0
    for table, rows in expected.groupby("table"):
        if table not in judged:
            if given.table:
                continue  # a CSV of another table
            sys.exit(f"{given.judge} has no table {table}; add it to judge's --show")
        lines, _ = compare(table, judged[table], rows.drop(columns="table"))
        differences += len(lines)
        for line in lines[:SHOWN_MAX]:
            print(f"  {line}")
        if len(lines) > SHOWN_MAX:
            print(f"  and {len(lines) - SHOWN_MAX} more")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
