#!/usr/bin/env python3
"""Makes two files of events from the log of changes, so that failures come later than what they concern.

    prepare.py DATA OUTPUT      reads DATA/changes-openstack/project_config_changes.csv.gz

OUTPUT/changes_finished.csv    each change when it landed: finished, success
OUTPUT/changes_reverted.csv    each reverted change when its revert landed: updated, failed
Both have the columns `change, at (epoch seconds), action, outcome` and a header line. Needs nothing but Python 3.9.
"""

import csv
import gzip
import sys
from pathlib import Path

COLUMNS = ["change", "at", "action", "outcome"]


def prepare(data, output):
    output.mkdir(parents=True, exist_ok=True)
    with (
        gzip.open(data / "changes-openstack" / "project_config_changes.csv.gz", "rt", newline="") as log,
        open(output / "changes_finished.csv", "w", newline="") as finished_file,
        open(output / "changes_reverted.csv", "w", newline="") as reverted_file,
    ):
        finished = csv.writer(finished_file, lineterminator="\n")
        reverted = csv.writer(reverted_file, lineterminator="\n")
        finished.writerow(COLUMNS)
        reverted.writerow(COLUMNS)
        for change in csv.DictReader(log):
            finished.writerow([change["change_id"], change["landed_ts"], "finished", "success"])
            if change["reverted_ts"]:
                reverted.writerow([change["change_id"], change["reverted_ts"], "updated", "failed"])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    prepare(Path(sys.argv[1]), Path(sys.argv[2]))
