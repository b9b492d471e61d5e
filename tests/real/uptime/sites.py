#!/usr/bin/env python3
"""Writes the catalogue of the observed sites and the agreement that covers them: definitions/sites.yaml.

    sites.py DATA > definitions/sites.yaml      reads DATA/uptime-dhbern/observations.csv.gz

Needs nothing but Python 3.9. A site keeps the first name that it had.
"""

import csv
import gzip
import json
import sys
from pathlib import Path

HEAD = """\
# yaml-language-server: $schema=../../../../schemas/definitions/definitions.schema.json
# Written by sites.py; change that instead.
#
# stale_after: the log has a line for a site when its state changes, and else one a day, as the observer commits them:
# the gaps have their peak at 24.0 h, 42 of them lie between 25 and 26 h, and beyond 26 h there are just those where a
# daily line was left out (36 h, 48 h and more). So a state holds for 26 hours without a line, then nobody knows.
"""

SERVICE = """\
apiVersion: plimsoll/v1
kind: Service
metadata: {{id: {id}, name: {name}}}
spec: {{state: {{from: checks, stale_after: 26h}}}}
---
"""

AGREEMENT = """\
apiVersion: plimsoll/v1
kind: Agreement
metadata: {{id: sites, name: Digital editions}}
spec:
  type: uc
  services:
{services}
  effective: {{from: 2026-01-01}}
  objectives:
    - id: day
      indicator: {{signal: availability, unknown: remove}}
      target: {{at_least: 99 %}}
      window: {{calendar: day}}
    - id: month
      indicator: {{signal: availability, unknown: remove}}
      target: {{at_least: 99.5 %}}
      window: {{calendar: month}}
    - id: day-hold                 # what was last seen is taken to last, however much of the day nobody looked
      indicator: {{signal: availability, unknown: hold}}
      target: {{at_least: 99 %}}
      window: {{calendar: day}}
      min_coverage: 0 %
    - id: month-hold
      indicator: {{signal: availability, unknown: hold}}
      target: {{at_least: 99.5 %}}
      window: {{calendar: month}}
      min_coverage: 0 %
    - id: month-bad                # what nobody knows counts against the site
      indicator: {{signal: availability, unknown: bad}}
      target: {{at_least: 99.5 %}}
      window: {{calendar: month}}
    - id: downtime
      indicator: {{signal: downtime}}
      target: {{at_most: 4h}}
      window: {{calendar: month}}
    - id: longest-outage
      indicator: {{signal: longest_outage}}
      target: {{at_most: 1h}}
      window: {{calendar: month}}
    - id: outages
      indicator: {{signal: outage_count}}
      target: {{at_most: 3}}
      window: {{calendar: month}}
"""


def main(data):
    with gzip.open(data / "uptime-dhbern" / "observations.csv.gz", "rt", newline="") as log:
        names = {}
        for observation in csv.DictReader(log):
            names.setdefault(observation["slug"], observation["name"])
    print(HEAD, end="")
    for slug in sorted(names):
        # A JSON text is a YAML text, whatever quotes and colons a name has.
        print(SERVICE.format(id=slug, name=json.dumps(names[slug], ensure_ascii=False)), end="")
    print(AGREEMENT.format(services="\n".join(f"    - {slug}" for slug in sorted(names))), end="")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
