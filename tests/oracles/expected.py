"""What the oracles of real logs share: the form of expected rows, windows, and the verdicts of counts and shares.

An oracle writes one CSV file. Its first column `table` names the table a row belongs to: attainment, clocks or
outages. The other columns are called as in that table. The row must have exactly these values in every column that
the table has; a column of the file that the table lacks is empty and means nothing. Instants are RFC 3339 in UTC,
amounts are whole numbers, `attainment_ratio` has nine decimals, rounded down, and an empty value is null. The rows of
each table are all that there are: another one is a difference. Columns that the file lacks are not compared.

Inside an oracle an instant is a whole number of microseconds since 1970.
"""

import argparse
from pathlib import Path

import pandas as pd

# The columns that tell the rows of a table apart.
KEYS = {
    "attainment": ["agreement", "objective", "service", "window_start"],
    "clocks": ["agreement", "objective", "service", "ticket", "cycle"],
    "outages": ["service", "started_at"],
}
INSTANTS = [
    "window_start", "window_end", "segment_start", "segment_end", "started_at", "stopped_at", "ended_at", "due_at",
    "attributed_at", "breached_at",
]
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
BILLIONTHS = 1_000_000_000
# An open window is at risk from this share of its allowance on: the highest of the default `warn_at`.
RISK = BILLIONTHS * 9 // 10


def micros(moment):
    """Microseconds since 1970 of anything that pandas takes for a time; without a zone it is UTC."""
    return pd.to_datetime(moment, utc=True).value // 1_000


def arguments(description):
    """--data DIR --as-of T --out FILE, with T as microseconds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the three logs")
    parser.add_argument("--as-of", type=micros, required=True, help="RFC 3339: later records are not known yet")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file of expected rows")
    return parser.parse_args()


def windows(kind, effective_from, as_of, grace):
    """The windows from a day on that began before `as_of`: day, week (from Monday), month, quarter or year in UTC.

    Columns window_start, window_end, segment_start, segment_end, finality, and `over`: whether its end has passed.
    """
    rule = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q-DEC", "year": "Y-DEC"}[kind]
    last = pd.Timestamp(as_of - 1, unit="us")
    periods = pd.period_range(pd.Timestamp(effective_from).to_period(rule), last.to_period(rule), freq=rule)
    as_micros = lambda starts: starts.as_unit("us").astype("int64")
    frame = pd.DataFrame({
        "window_start": as_micros(periods.to_timestamp(how="start")),
        "window_end": as_micros((periods + 1).to_timestamp(how="start")),
    })
    frame["segment_start"] = frame.window_start.clip(lower=micros(effective_from))
    frame["segment_end"] = frame.window_end
    frame["finality"] = ["final" if end + grace <= as_of else "provisional" for end in frame.window_end]
    frame["over"] = frame.window_end <= as_of
    return frame


def counted(frame, good, total, share, min_sample=0):
    """Adds what attainment says of counts: `share` is promised, in billionths (R11, R12).

    `good` and `total` are series by the start of a window; a window that they lack counted nothing.
    """
    frame = frame.copy()
    frame["good_count"] = frame.window_start.map(good).fillna(0).astype("int64")
    frame["total_count"] = frame.window_start.map(total).fillna(0).astype("int64")

    def verdict(row):
        if row.total_count == 0:
            return "no_data"
        if row.total_count < min_sample:
            return "insufficient_data"
        if row.good_count * BILLIONTHS >= share * row.total_count:
            return "met"
        return "breached" if row.over else "at_risk"

    frame["verdict"] = [verdict(row) for row in frame.itertuples()]
    frame["attainment_ratio"] = [ratio(row.good_count, row.total_count) for row in frame.itertuples()]
    frame["breached_at"] = frame.segment_end.where(frame.verdict == "breached")
    times = ["good_us", "bad_us", "degraded_us", "excluded_us", "unknown_us", "outage_count", "longest_outage_us"]
    return frame.assign(**{column: 0 for column in times})


def sums_by_window(frame, at, good):
    """(good, total) by the start of the window of `frame` in which each instant of `at` lies."""
    starts = frame.window_start.to_numpy()
    window = pd.Series(starts[starts.searchsorted(at, side="right") - 1])
    groups = pd.Series(good).astype("int64").groupby(window.to_numpy())
    return groups.sum(), groups.size()


def ratio(part, whole):
    """Nine decimals, rounded down; empty when nothing was measured."""
    if whole == 0:
        return None
    share = int(part) * BILLIONTHS // int(whole)
    return f"{share // BILLIONTHS}.{share % BILLIONTHS:09d}"


def write(path, tables):
    """Writes {table: frame} in the form that the head of this module describes."""
    rows = pd.concat([frame.assign(table=table) for table, frame in tables.items()]).drop(columns="over")
    for column in rows.columns.intersection(INSTANTS):
        instants = pd.to_datetime(rows[column].astype("Int64"), unit="us")
        rows[column] = instants.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").str.replace(".000000Z", "Z")
    for column in rows.columns:
        if pd.api.types.is_float_dtype(rows[column]):
            rows[column] = rows[column].astype("Int64")
    rows[["table"] + [column for column in rows.columns if column != "table"]].to_csv(path, index=False)
