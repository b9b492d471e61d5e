#!/usr/bin/env python3
"""What tests/real/changes must give, computed with pandas from the log of changes.

A change counts once, in the week and the month in which it landed; it is good as long as no revert of it is known.

    changes.py --data DIR --as-of T --out FILE      (the form of FILE: see expected.py)
"""

import pandas as pd

from expected import DAY, MINUTE, SECOND, arguments, counted, sums_by_window, windows, write

EFFECTIVE_FROM = "2011-01-01"
GRACE = 5 * MINUTE  # the lateness of a Source unless told
OBJECTIVES = [("success-week", "week", 0), ("success-month", "month", 20)]
PROMISED = 980_000_000


def main():
    given = arguments(__doc__)
    log = pd.read_csv(given.data / "changes-openstack" / "project_config_changes.csv.gz")
    landed = log.landed_ts * SECOND
    reverted = log.reverted_ts.astype("Int64") * SECOND
    known = landed <= given.as_of
    good = ~(reverted <= given.as_of).fillna(False).astype(bool)
    rows = []
    for objective, kind, min_sample in OBJECTIVES:
        frame = windows(kind, EFFECTIVE_FROM, given.as_of, GRACE)
        # A record of the very last instant is known, but its window has not begun before it.
        in_a_window = known & (landed < frame.window_end.iloc[-1])
        sums = sums_by_window(frame, landed[in_a_window].to_numpy(), good[in_a_window].to_numpy())
        rows.append(counted(frame, *sums, PROMISED, min_sample).assign(objective=objective))
    attainment = pd.concat(rows).assign(agreement="changes", service="project-config")
    attainment["agreed_us"] = attainment.segment_end - attainment.segment_start
    assert (attainment.window_start % DAY == 0).all()
    write(given.out, {"attainment": attainment})


if __name__ == "__main__":
    main()
