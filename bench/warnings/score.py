"""How good warnings are: of each rule its precision, its recall and its lead, against what later happened.

In: the program, and perhaps the folder of the real logs. Out: tables of promises over windows and of tickets, for a year made up from a
seed and for the logs. What happened, and what Plimsoll warned of, is what `plimsoll judge` says of the whole log; forecasts
are asked for as of each morning, when nothing later is known. The two plain rules beside them are computed here:

  burn over an hour    in the last hour the budget burnt 14.4 times too fast, by the clock on the wall, looked at each minute
  90 % of the time     nine tenths of the window are over and something was bad in it; of a ticket: nine tenths of its target have
                       passed since it was opened, by the clock on the wall, and it is not resolved

Of a window or a ticket each rule counts with its first warning. It is right when the promise was missed later, wrong when it
was kept; given at the breach or after it, it is too late, and counts as a miss. Precision is right / (right + wrong),
recall is right / all that were missed, and the lead is from the warning to the breach.
"""

import argparse
import bisect
import json
import math
import os
import random
import re
import statistics
import subprocess
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
WARNED = "warn_at: [50 %, 75 %, 90 %], burn_rate_warnings: true"
# Shares of the time that a promise allows to be bad, for the plain rule; of downtime in a month of 30 days.
ALLOWED = {"three-nines": 0.001, "office": 0.005, "two-hours": 2 / 720, "month": 0.005, "four-hours": 4 / 720}
FAST, LIKELY = 14.4, 0.5

OFFICE = 'apiVersion: plimsoll/v1\nkind: Calendar\nmetadata: {id: office}\nspec: {time_zone: UTC, hours: [{days: mon-fri, from: "08:00", until: "18:00"}]}\n'


def agreement(services, since, objectives):
    return (
        f"apiVersion: plimsoll/v1\nkind: Agreement\nmetadata: {{id: all}}\nspec:\n  type: ola\n  services: [{', '.join(services)}]\n"
        f"  effective: {{from: {since}}}\n  objectives:\n" + "".join(f"    - {{{objective}, {WARNED}}}\n" for objective in objectives)
    )


def objective(name, indicator, target):
    return f"id: {name}, indicator: {{{indicator}}}, target: {{{target}}}, window: {{calendar: month}}"


def shares_alone(text):
    """Without warnings of burn rates, which have no meaning for lengths and numbers of outages."""
    return re.sub(r"(signal: (?:longest_outage|outage_count).*?), burn_rate_warnings: true", r"\1", text)


# --- A year made up from a seed ---------------------------------------------------------------------------------


def is_working_time(at):
    return at.weekday() < 5 and 7 <= at.hour < 18


def outages_of(dice):
    """Outages come in bursts and mostly in working hours, and services become better and worse; none of that is told."""
    a_month, typical, bursts = 1.2 * math.exp(1.1 * dice.gauss(0, 1)), 14 * math.exp(0.7 * dice.gauss(0, 1)), dice.uniform(0, 0.4)
    at, found, regime = START, [], START + 30 * DAY
    while True:
        is_burst = found and dice.random() < bursts
        gap = dice.expovariate(1 / 25) / 1440 if is_burst else dice.expovariate(a_month / 30)
        at += min(gap, 30) * DAY
        if at >= regime:
            regime += 30 * DAY
            a_month *= math.exp(0.9 * dice.gauss(0, 1)) if dice.random() < 0.12 else 1
        if at >= END:
            return found
        if gap > 30 or (not is_working_time(at) and dice.random() < 0.5):
            continue
        minutes = 120 / dice.uniform(0.05, 1) if dice.random() < 0.04 else typical * math.exp(1.1 * dice.gauss(0, 1))
        until = at + timedelta(minutes=max(minutes, 0.02))
        found.append((at, until))
        at = until


def tickets_of(dice):
    """One a week, opened at work; half are solved within half a day, and one in six waits for the user for a while."""
    at, found = START, []
    while True:
        at += dice.expovariate(3 / 7) * DAY
        if at >= END:
            return found
        if not is_working_time(at):
            continue
        steps = [(at, "opened")]
        took = 11 * HOUR * math.exp(1.2 * dice.gauss(0, 1))
        if dice.random() < 1 / 6:
            paused = at + took * dice.random()
            waited = 20 * HOUR * math.exp(dice.gauss(0, 1))
            steps += [(paused, "paused"), (paused + waited, "resumed")]
            took += waited
        found.append(steps + [(at + took, "resolved")])


def made_up(folder, seed, count):
    services = [f"s{number}" for number in range(count)]
    events = []
    for number, service in enumerate(services):
        dice = random.Random(seed * 1_000_003 + number)
        tickets = [([(since, "opened"), (until, "resolved")], True) for since, until in outages_of(dice)]
        tickets += [(steps, False) for steps in tickets_of(dice)]
        for place, (steps, is_outage) in enumerate(tickets):
            ticket = f"{service}-{place}"
            for at, action in steps:
                event = {"id": f"{ticket}-{action}", "time": at.isoformat(), "kind": "incident", "service": service, "ticket": ticket, "action": action}
                events.append(event | ({"outage": True} if is_outage and action == "opened" else {}))
    events.sort(key=lambda event: event["time"])
    texts = [f"apiVersion: plimsoll/v1\nkind: Service\nmetadata: {{id: {service}}}\nspec: {{state: {{from: incidents}}}}\n" for service in services]
    objectives = [
        objective("three-nines", "signal: availability", "at_least: 99.9 %"),
        objective("office", "signal: availability, calendar: office", "at_least: 99.5 %"),
        objective("two-hours", "signal: downtime", "at_most: 2h"),
        objective("longest", "signal: longest_outage", "at_most: 1h"),
        objective("two-outages", "signal: outage_count", "at_most: 2"),
        objective("fix", "signal: resolution_time, calendar: office, within: 16h", "at_least: 80 %"),
    ]
    texts += [OFFICE, shares_alone(agreement(services, "2025-01-01", objectives))]
    write(folder, "---\n".join(texts))
    path = os.path.join(folder, "events.ndjson")
    with open(path, "w") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    return path, (START, END)


# --- The real logs ----------------------------------------------------------------------------------------------


def sites(folder, real, data):
    definitions = os.path.join(real, "uptime", "definitions")
    with open(os.path.join(definitions, "sites.yaml")) as file:
        texts = [text for text in file.read().split("---\n") if "kind: Service\n" in text]
    with open(os.path.join(definitions, "source.yaml")) as file:
        texts.append(file.read() + "\n")
    services = [re.search(r"metadata: \{id: ([^,}]+)", text).group(1) for text in texts if "kind: Service\n" in text]
    objectives = [
        objective("month", "signal: availability", "at_least: 99.5 %"),
        objective("four-hours", "signal: downtime", "at_most: 4h"),
        objective("longest", "signal: longest_outage", "at_most: 1h"),
        objective("three-outages", "signal: outage_count", "at_most: 3"),
    ]
    write(folder, "---\n".join([*texts, shares_alone(agreement(services, "2026-01-01", objectives))]))
    return os.path.join(data, "uptime-dhbern", "observations.csv.gz"), (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC))


def incidents(folder, real, data):
    definitions = os.path.join(real, "incidents", "definitions")
    with open(os.path.join(definitions, "source.yaml")) as file:
        source = file.read() + "\n"
    with open(os.path.join(definitions, "agreements.yaml")) as file:
        texts = file.read().split("---\n")
    kept = [text for text in texts if "kind: Service\n" in text or "kind: Calendar\n" in text]
    within = {"P1": ("4h", 90), "P2": ("9h", 80), "P3": ("27h", 70), "P4": ("45h", 70)}
    objectives = [
        objective(f"resolution-{priority}", f"signal: resolution_time, priorities: [{priority}], calendar: business-hours, within: {time}", f"at_least: {share} %")
        for priority, (time, share) in within.items()
    ]
    write(folder, "---\n".join([source, *kept, agreement(["service-desk"], "2016-01-01", objectives)]))
    path = os.path.join(data, "itsm-incidents", "incident_event_log.csv.gz")
    return path, (datetime(2016, 3, 1, tzinfo=UTC), datetime(2017, 6, 1, tzinfo=UTC))


def write(folder, text):
    os.makedirs(os.path.join(folder, "definitions"), exist_ok=True)
    with open(os.path.join(folder, "definitions", "all.yaml"), "w") as file:
        file.write(text)


# --- What the program says --------------------------------------------------------------------------------------


def judged(program, folder, log, at, tables):
    command = [program, "judge", "-d", os.path.join(folder, "definitions"), "-e", log, "--as-of", at.isoformat(), "--format", "json", "--show", tables]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def instant(text):
    return text and datetime.fromisoformat(text)


def forecasts(program, folder, log, span, every):
    """When each window was first said to be likelier breached than not."""
    first, at = {}, span[0] + every
    while at < span[1]:
        for row in judged(program, folder, log, at, "attainment")["attainment"]:
            probability = row["breach_probability_ratio"]
            if probability is not None and float(probability) >= LIKELY:
                first.setdefault(window_of(row), at)
        at += every
    return first


def window_of(row):
    return row["service"], row["objective"], instant(row["window_start"])


def ticket_of(row):
    return row["service"], row["objective"], row["ticket"], row["cycle"]


# --- Rules ------------------------------------------------------------------------------------------------------


def warned(rows, scope, key, is_meant):
    first = {}
    for row in rows:
        if row["event"] == "warning" and row["scope"] == scope and is_meant(row):
            at = instant(row["at"])
            first[key(row)] = min(at, first.get(key(row), at))
    return first


def any_of(*rules):
    first = {}
    for rule in rules:
        for key, at in rule.items():
            first[key] = min(at, first.get(key, at))
    return first


def burn_over_an_hour(windows, outages):
    """The plain rule: looked at each full minute, over the clock's last hour, whatever window or calendar that is of."""
    first = {}
    for (service, name, start), row in windows.items():
        if name not in ALLOWED:
            continue
        limit = FAST * ALLOWED[name] * HOUR
        of_service = outages.get(service, [])
        since, end = [outage[0] for outage in of_service], instant(row["window_end"])
        minutes = set()
        for began, ended in of_service:
            if began < end and ended + HOUR > start:
                minute = max(began, start).replace(second=0, microsecond=0) + timedelta(minutes=1)
                while minute < min(ended + HOUR, end):
                    minutes.add(minute)
                    minute += timedelta(minutes=1)
        for minute in sorted(minutes):
            past = of_service[: bisect.bisect(since, minute)]
            bad = sum((max(timedelta(0), min(ended, minute) - max(began, minute - HOUR)) for began, ended in past), timedelta(0))
            if bad >= limit:
                first[service, name, start] = minute
                break
    return first


def most_of_the_window(windows, outages):
    first = {}
    for key, row in windows.items():
        start, end = key[2], instant(row["window_end"])
        at = start + 0.9 * (end - start)
        if any(began < at and ended > start for began, ended in outages.get(key[0], [])):
            first[key] = at
    return first


def most_of_the_time(tickets):
    first = {}
    for key, row in tickets.items():
        at = instant(row["started_at"]) + timedelta(microseconds=0.9 * row["target_us"])
        if row["stopped_at"] is None or instant(row["stopped_at"]) > at:
            first[key] = at
    return first


# --- Scores -----------------------------------------------------------------------------------------------------


def score(name, rule, missed, kept):
    """`missed` says when each promise that was not kept was missed, `kept` which were kept."""
    leads = [missed[key] - at for key, at in rule.items() if key in missed and at < missed[key]]
    late = sum(key in missed and at >= missed[key] for key, at in rule.items())
    wrong, right = sum(key in kept for key in rule), len(leads)
    share = lambda part, whole: f"{100 * part / whole:.1f} %" if whole else "-"
    lead = lambda of: f"{of / HOUR:.2f} h" if leads else "-"
    tenth = sorted(leads)[len(leads) // 10] if leads else None
    print(
        f"| {name} | {right} | {wrong} | {late} | {share(right, right + wrong)} | {share(right, len(missed))} "
        f"| {lead(statistics.median(leads) if leads else None)} | {lead(tenth)} |"
    )


def head(what, missed, kept):
    print(f"\n{what}: {len(missed) + len(kept)}, {len(missed)} missed\n")
    print("| rule | right | wrong | too late | precision | recall | lead, median | lead, 9 of 10 have more |\n|---|---|---|---|---|---|---|---|")


def report(program, folder, log, span, every):
    said = judged(program, folder, log, span[1], "attainment,clocks,breaches,outages")
    outages = defaultdict(list)
    for row in said["outages"]:
        outages[row["service"]].append((instant(row["started_at"]), instant(row["ended_at"]) or span[1]))
    for of_service in outages.values():
        of_service.sort()
    whole = {window_of(row): row for row in said["attainment"] if row["finality"] == "final" and row["verdict"] in ("met", "breached")}
    forecast = forecasts(program, folder, log, span, every)
    likely = f"Plimsoll: a breach is likely, looked at every {every / DAY:g} d"
    rows = said["breaches"]
    of_window = lambda is_meant: warned(rows, "objective", window_of, is_meant)
    shares = {share: of_window(lambda row, share=share: row["span_us"] is None and float(row["threshold_ratio"]) == share) for share in (0.5, 0.75, 0.9)}
    burns = {word: of_window(lambda row, word=word: row["severity"] == word) for word in ("page", "ticket")}
    groups = {
        "windows with a budget of time": lambda row: row["signal"] in ("availability", "downtime"),
        "windows of lengths and numbers of outages": lambda row: row["signal"] in ("longest_outage", "outage_count"),
        "windows of counted things": lambda row: row["signal"] == "resolution_time",
    }
    for what, is_meant in groups.items():
        windows = {key: row for key, row in whole.items() if is_meant(row)}
        missed = {key: instant(row["breached_at"]) for key, row in windows.items() if row["verdict"] == "breached"}
        kept = windows.keys() - missed.keys()
        if not windows:
            continue
        only = lambda rule: {key: at for key, at in rule.items() if key in windows}
        head(what, missed, kept)
        is_of_time = what == "windows with a budget of time"
        if what != "windows of counted things":
            for share, rule in shares.items():
                score(f"Plimsoll: {100 * share:g} % of the budget is used", only(rule), missed, kept)
        if what != "windows of lengths and numbers of outages":
            for word, rule in burns.items():
                score(f"Plimsoll: it burns too fast, {word}", only(rule), missed, kept)
        score(likely, only(forecast), missed, kept)
        if is_of_time:
            score("plain: burn over an hour", only(burn_over_an_hour(windows, outages)), missed, kept)
        if what != "windows of counted things":
            score("plain: 90 % of the time", only(most_of_the_window(windows, outages)), missed, kept)
    tickets = {ticket_of(row): row for row in said["clocks"] if row["verdict"] in ("met", "breached")}
    missed = {key: instant(row["due_at"]) for key, row in tickets.items() if row["verdict"] == "breached"}
    kept = tickets.keys() - missed.keys()
    if tickets:
        head("tickets", missed, kept)
        for share in (0.5, 0.75, 0.9):
            rule = warned(rows, "ticket", ticket_of, lambda row, share=share: float(row["threshold_ratio"]) == share)
            score(f"Plimsoll: {100 * share:g} % of the time is used", {key: at for key, at in rule.items() if key in tickets}, missed, kept)
        score("plain: 90 % of the time", most_of_the_time(tickets), missed, kept)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", help="such as target/release/plimsoll")
    arguments.add_argument("--data", help="the folder of the real logs; without it only the year that is made up")
    arguments.add_argument("--seed", type=int, default=28)
    arguments.add_argument("--services", type=int, default=200)
    arguments.add_argument("--days", type=int, default=1, help="how many days lie between two forecasts")
    given = arguments.parse_args()
    real = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "real")
    sets = [(f"a year of {given.services} services, seed {given.seed}", lambda folder: made_up(folder, given.seed, given.services))]
    if given.data:
        sets.append(("a real log of 51 sites", lambda folder: sites(folder, real, given.data)))
        sets.append(("a real log of incidents", lambda folder: incidents(folder, real, given.data)))
    for name, make in sets:
        print(f"\n## {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            log, span = make(folder)
            report(given.program, folder, log, span, given.days * DAY)


main()
