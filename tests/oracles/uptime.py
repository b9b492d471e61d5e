#!/usr/bin/env python3
"""What tests/real/uptime must give, computed with pandas from the observations of sites.

Each site becomes one frame of instants sorted by time: its observations, the instants from which it is unknown because
26 hours passed without one, and the edges of days. States are filled forward, durations are differences of neighbours,
and everything else is a sum over groups (R3, R4, R10-R12).

    uptime.py --data DIR --as-of T --out FILE      (the form of FILE: see expected.py)
"""

import pandas as pd

from expected import BILLIONTHS, DAY, HOUR, RISK, SECOND, arguments, ratio, windows, write

EFFECTIVE_FROM = "2026-01-01"
GRACE = 1 * HOUR
STALE_AFTER = 26 * HOUR
MIN_COVERAGE = 900_000_000
# id, window, what unknown time is, signal, what is promised: a share in billionths, microseconds, or a count.
OBJECTIVES = [
    ("day", "day", "remove", "availability", 990_000_000),
    ("month", "month", "remove", "availability", 995_000_000),
    ("day-hold", "day", "hold", "availability", 990_000_000),
    ("month-hold", "month", "hold", "availability", 995_000_000),
    ("month-bad", "month", "bad", "availability", 995_000_000),
    ("downtime", "month", "remove", "downtime", 4 * HOUR),
    ("longest-outage", "month", "remove", "longest_outage", 1 * HOUR),
    ("outages", "month", "remove", "outage_count", 3),
]


def observations(data, as_of):
    """slug, at, status: one for each site and instant, the worst of several ("down" sorts before "up")."""
    log = pd.read_csv(data / "uptime-dhbern" / "observations.csv.gz")
    log["at"] = log.epoch * SECOND
    known = log[log["at"] <= as_of]
    return known.groupby(["slug", "at"], as_index=False).status.min()


def pieces_of(site, edges, as_of):
    """The life of one site from the first edge to `as_of`, cut at every edge and every change: start, end, state."""
    gap = site["at"].shift(-1, fill_value=2**62) - site["at"]
    stale = pd.DataFrame({"at": site["at"][gap > STALE_AFTER] + STALE_AFTER, "status": "unknown"})
    cuts = pd.DataFrame({"at": edges, "status": None})
    # Stable: at one instant an observation or staleness stands behind the edge and therefore wins.
    life = pd.concat([cuts, site[["at", "status"]], stale]).sort_values("at", kind="stable")
    life["state"] = life.status.ffill().fillna("unknown")
    life = life.drop_duplicates("at", keep="last")
    life = life[life["at"] < as_of]
    pieces = pd.DataFrame({"start": life["at"], "end": life["at"].shift(-1, fill_value=as_of), "state": life.state})
    return pieces[pieces.start >= edges.iloc[0]].reset_index(drop=True)


def hold(pieces):
    """Unknown time takes the state before it; what lies before the first observation stays unknown."""
    held = pieces.state.where(pieces.state != "unknown").ffill().fillna("unknown")
    return pieces.assign(state=held)


def outages_of(pieces, as_of):
    """Maximal stretches of down; one that lasts has no end yet."""
    run = (pieces.state != pieces.state.shift()).cumsum()
    down = pieces[pieces.state == "down"].groupby(run)
    frame = pd.DataFrame({"started_at": down.start.min(), "ended_at": down.end.max()}).astype("Int64")
    frame["ended_at"] = frame.ended_at.mask(frame.ended_at == as_of)
    return frame.assign(duration_us=frame.ended_at - frame.started_at, causes="http")


def measure(pieces, frame):
    """Adds to a frame of windows the time in each state, the outages and the longest of them."""
    starts = frame.window_start.to_numpy()
    window = starts[starts.searchsorted(pieces.start.to_numpy(), side="right") - 1]
    pieces = pieces.assign(window=window, time=pieces.end - pieces.start)
    # An outage that crosses the edge of a window is one in each of them.
    pieces["run"] = ((pieces.state != pieces.state.shift()) | (pieces.window != pieces.window.shift())).cumsum()
    times = pieces.pivot_table(index="window", columns="state", values="time", aggfunc="sum", fill_value=0)
    runs = pieces[pieces.state == "down"].groupby(["window", "run"]).time.sum().groupby("window")
    frame = frame.copy()
    for column, series in (
        ("good_us", times.get("up")), ("bad_us", times.get("down")), ("unknown_us", times.get("unknown")),
        ("outage_count", runs.size()), ("longest_outage_us", runs.max()),
    ):
        frame[column] = 0 if series is None else frame.window_start.map(series).fillna(0).astype("int64")
    return frame.assign(degraded_us=0, excluded_us=0, good_count=0, total_count=0), pieces


def under_policy(pieces, frame, unknown):
    """Adds to a frame of windows the parts as they are known, and the good, bad and removed time by the policy."""
    known, cut = measure(pieces, frame)
    if unknown == "hold":
        counted, cut = measure(hold(pieces), frame)
        known[["outage_count", "longest_outage_us"]] = counted[["outage_count", "longest_outage_us"]]
    else:
        counted = known
    as_bad = counted.unknown_us if unknown == "bad" else 0
    frame = known.assign(
        counted_good_us=counted.good_us, counted_bad_us=counted.bad_us + as_bad, removed_us=counted.unknown_us - as_bad
    )
    return frame, cut


def judge(row, unknown, signal, promised, pieces):
    """(verdict, ratio, budget, budget left, instant of the breach) of one window, by whole numbers."""
    # Coverage asks for what is known; attainment for what counts by the policy.
    known = row.good_us + row.bad_us
    bad = row.counted_bad_us
    measurable = row.agreed_us - row.removed_us
    # The allowance is in billionths of what is promised, so that shares stay whole.
    allowance = (BILLIONTHS - promised) * measurable if signal == "availability" else promised * BILLIONTHS
    spent = {"longest_outage": row.longest_outage_us, "outage_count": row.outage_count}.get(signal, bad) * BILLIONTHS
    # Who holds the last state asks for no coverage in these definitions.
    coverage = 0 if unknown == "hold" else MIN_COVERAGE
    if row.counted_good_us + bad == 0 or (known == 0 and coverage > 0):
        verdict = "no_data"
    elif known * BILLIONTHS < coverage * (known + row.unknown_us):
        verdict = "insufficient_data"
    elif spent > allowance:
        verdict = "breached"
    elif not row.over and spent > 0 and spent * BILLIONTHS >= allowance * RISK:
        verdict = "at_risk"
    else:
        verdict = "met"
    breached_at = breach(pieces, unknown, signal, allowance) if verdict == "breached" else None
    budgeted = signal in ("availability", "downtime")
    budget = allowance // BILLIONTHS if budgeted else None
    left = (allowance - spent) // BILLIONTHS if budgeted else None
    return verdict, ratio(row.counted_good_us, row.counted_good_us + bad), budget, left, breached_at


def breach(pieces, unknown, signal, allowance):
    """When the allowance was first exceeded: after its last microsecond and one more."""
    bad = pieces[pieces.state.isin(["down", "unknown"] if unknown == "bad" else ["down"])]
    if signal == "outage_count":
        return int(bad.groupby("run").start.min().iloc[allowance // BILLIONTHS])
    used = bad.groupby("run").time.cumsum() if signal == "longest_outage" else bad.time.cumsum()
    first = bad[used > allowance // BILLIONTHS].iloc[0]
    before = used[first.name] - first.time
    return int(first.start + allowance // BILLIONTHS - before + 1)


def main():
    given = arguments(__doc__)
    day_edges = windows("day", EFFECTIVE_FROM, given.as_of, GRACE).window_start
    kinds = {kind: windows(kind, EFFECTIVE_FROM, given.as_of, GRACE) for kind in ("day", "month")}
    for frame in kinds.values():
        frame["agreed_us"] = frame.window_end - frame.window_start
        assert (frame.window_start % DAY == 0).all()
    attainment, outages = [], []
    log = pd.read_csv(given.data / "uptime-dhbern" / "observations.csv.gz", usecols=["slug"])
    seen = dict(list(observations(given.data, given.as_of).groupby("slug")))
    nothing = pd.DataFrame({"at": pd.Series(dtype="int64"), "status": pd.Series(dtype=object)})
    for slug in sorted(log.slug.unique()):
        pieces = pieces_of(seen.get(slug, nothing), day_edges, given.as_of)
        outages.append(outages_of(pieces, given.as_of).assign(service=slug))
        for objective, kind, unknown, signal, promised in OBJECTIVES:
            frame, cut = under_policy(pieces, kinds[kind], unknown)
            by_window = dict(list(cut.groupby("window")))
            judged = [judge(row, unknown, signal, promised, by_window[row.window_start]) for row in frame.itertuples()]
            columns = ["verdict", "attainment_ratio", "budget_us", "budget_left_us", "breached_at"]
            frame[columns] = pd.DataFrame(judged, index=frame.index, columns=columns, dtype=object)
            frame = frame.drop(columns=["counted_good_us", "counted_bad_us", "removed_us"])
            attainment.append(frame.assign(service=slug, objective=objective))
    tables = {"attainment": pd.concat(attainment).assign(agreement="sites"), "outages": pd.concat(outages)}
    write(given.out, tables)


if __name__ == "__main__":
    main()
