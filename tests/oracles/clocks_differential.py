#!/usr/bin/env python3
"""Lets random tickets run minute by minute and compares their clocks with Plimsoll's, for rules R14 to R18 and R37.

    clocks_differential.py PLIMSOLL [--seed N] [--tickets N]          exits 1 where anything differs, prints the seed

Every ticket is judged by `plimsoll judge` under 168 objectives: response and resolution, around the clock and in office
hours with a lunch break and a holiday, each mode of reopening, attribution and change of priority, for all priorities
and for P1 alone. All records have whole minutes, and no two of a ticket the same, so that no order has to be agreed on.

The way here is deliberately plain. It follows docs/rules/r14-r19-clocks.md: it reads a ticket's records from the first
to the last, then walks through the minutes of each clock and counts those that are agreed and in which it does not
stand still. It knows no sums, no inverse of a calendar, and no interval but the minute.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path

MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)
DAY = 1440
NOW = 10 * DAY
FOREVER = NOW + 60 * DAY  # no clock needs longer
HOLIDAY = 4  # the Friday of the first week
ACTIONS = {"acknowledged": 3, "paused": 4, "resumed": 4, "resolved": 5, "reopened": 4, "closed": 2, "cancelled": 0.5,
           "updated": 2}
WORST_LAST = ["moved", "cancelled", "met", "running", "breached"]


def text(minute):
    return (MONDAY + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute_of(text):
    return text and int((datetime.fromisoformat(text.replace("Z", "+00:00")) - MONDAY).total_seconds() // 60)


def is_agreed(calendar, minute):
    day, time = divmod(minute, DAY)
    in_hours = 8 * 60 <= time < 12 * 60 or 13 * 60 <= time < 17 * 60
    return calendar == "24x7" or (day % 7 < 5 and day != HOLIDAY and in_hours)


def earliest(*minutes):
    return min((minute for minute in minutes if minute is not None), default=None)


def random_objectives(dice):
    objectives = []
    for calendar, signal, reopening, attribution, (priority, change) in product(
        ["24x7", "office"],
        ["resolution_time", "response_time"],
        ["same_cycle", "new_cycle", "first_only", "largest"],
        ["outcome", "opened", "closed"],
        [(None, "retarget"), ("P1", "retarget"), ("P1", "restart"), (None, "restart")],
    ):
        if (signal, reopening) != ("response_time", "largest"):
            objectives.append(dict(id=f"o{len(objectives):03}", calendar=calendar, signal=signal, reopening=reopening,
                                   attribution=attribution, priority=priority, change=change,
                                   within=dice.choice([30, 60, 120, 240, 480])))
    return objectives


def definitions(objectives):
    def objective(one):
        indicator = {"signal": one["signal"], "calendar": one["calendar"], "within": f"{one['within']}m",
                     "reopening": one["reopening"], "attribution": one["attribution"], "priority_change": one["change"]}
        if one["priority"]:
            indicator["priorities"] = [one["priority"]]
        return {"id": one["id"], "indicator": indicator, "target": {"at_least": "90 %"}, "window": {"calendar": "day"},
                "warn_at": []}

    spans = [("08:00", "12:00"), ("13:00", "17:00")]
    hours = [{"days": "mon-fri", "from": start, "until": end} for start, end in spans]
    agreement = {"type": "ola", "services": ["web"], "effective": {"from": "2026-03-02"},
                 "objectives": [objective(one) for one in objectives]}
    documents = [
        ("Service", "web", {}),
        ("Calendar", "office", {"time_zone": "UTC", "hours": hours, "holidays": ["2026-03-06"]}),
        ("Agreement", "promise", agreement),
    ]
    return "\n---\n".join(
        json.dumps({"apiVersion": "plimsoll/v1", "kind": kind, "metadata": {"id": name}, "spec": spec})
        for kind, name, spec in documents
    )


def random_ticket(dice):
    """Records of one ticket: minute, action, priority if it says one."""
    opened = dice.randrange(0, NOW - 10)
    until = min(NOW, opened + dice.choice([120, 600, 3000, NOW]))
    times = sorted(dice.sample(range(opened + 1, until), min(dice.randrange(9), until - opened - 1)))
    records = [(opened, "opened", dice.choice(["P1", "P3"]))]
    for time in times:
        action = dice.choices(list(ACTIONS), ACTIONS.values())[0]
        says_priority = action == "updated" or dice.random() < 0.1
        records.append((time, action, dice.choice(["P1", "P3"]) if says_priority else None))
    return records


class Ticket:
    """What happened to a ticket, read from its first record to its last."""

    def __init__(self, records):
        self.opened = records[0][0]
        self.cycles = [dict(start=self.opened, acknowledged=None, resolved=None)]
        self.pauses, self.priorities = [], []
        self.closed = self.cancelled = None
        for time, action, priority in records:
            if priority:
                self.priorities.append((time, priority))
            self.follow(time, action)

    def follow(self, time, action):
        cycle = self.cycles[-1]
        is_open = cycle["resolved"] is None and self.cancelled is None
        is_paused = bool(self.pauses) and self.pauses[-1][1] is None
        if action == "acknowledged" and is_open and cycle["acknowledged"] is None:
            cycle["acknowledged"] = time
        if action == "paused" and is_open and not is_paused:
            self.pauses.append([time, None])
        ends_pause = action in ("resumed", "cancelled") or (action in ("resolved", "closed") and is_open)
        if ends_pause and is_paused and (action != "cancelled" or self.cancelled is None):
            self.pauses[-1][1] = time
        if action in ("resolved", "closed") and is_open:
            cycle["resolved"] = time
        if action == "closed" and self.cancelled is None and self.closed is None:
            self.closed = time
        if action == "cancelled" and self.cancelled is None:
            self.closed, self.cancelled = None, time
        if action == "reopened":
            if self.cancelled is not None and cycle["resolved"] is None:
                self.pauses.append([self.cancelled, time])
            self.cancelled = None
            if cycle["resolved"] is not None:
                self.closed = None
                self.cycles.append(dict(start=time, acknowledged=None, resolved=None))

    def priority_at(self, minute):
        return [priority for time, priority in self.priorities if time <= minute][-1]


class Walk:
    """One ticket under one objective."""

    def __init__(self, ticket, objective):
        self.ticket, self.objective = ticket, objective
        self.still = list(map(tuple, ticket.pauses))
        if objective["reopening"] == "same_cycle":
            self.still += [(one["resolved"], next["start"]) for one, next in zip(ticket.cycles, ticket.cycles[1:])]

    def stands_still(self, minute):
        return any(start <= minute and (end is None or minute < end) for start, end in self.still)

    def used(self, start, stop):
        """Minutes used and minutes paused from start until stop, or until now."""
        agreed = [minute for minute in range(start, NOW if stop is None else stop)
                  if is_agreed(self.objective["calendar"], minute)]
        paused = sum(map(self.stands_still, agreed))
        return len(agreed) - paused, paused

    def due(self, start, stop):
        """When the allowed time is used up, had the clock gone on after its stop; none while it stands still now."""
        used = 0
        for minute in range(start, FOREVER):
            stands_still = self.stands_still(minute) and (stop is None or minute < stop)
            if stands_still and minute >= NOW:
                return None
            used += is_agreed(self.objective["calendar"], minute) and not stands_still
            if used == self.objective["within"]:
                return minute + 1
        return None

    def stretches(self, start, stop):
        """The times in which the objective applies, each from the start that the change of priority gives it."""
        changes = {time for time, _ in self.ticket.priorities if start < time and (stop is None or time < stop)}
        edges = sorted({start} | changes)
        stretches, began, before = [], start, None
        for edge, until in zip(edges, edges[1:] + [stop]):
            priority = self.ticket.priority_at(edge)
            if self.objective["change"] == "restart" and priority != before:
                began = edge
            before = priority
            if self.objective["priority"] in (None, priority):
                if stretches and stretches[-1][0] == began:
                    stretches.pop()
                stretches.append((began, until))
        return stretches

    def clock(self, start, stop):
        """Verdict, start, stop, due, used, paused and the minute it belongs to; none if the objective never applied."""
        stop = earliest(stop, self.ticket.cancelled)
        stretches = [(*stretch, *self.used(*stretch)) for stretch in self.stretches(start, stop)]
        if not stretches:
            return None
        late = [stretch for stretch in stretches if stretch[2] > self.objective["within"]]
        began, until, used, paused = late[0] if late else stretches[-1]
        if until is not None and until != stop and not late:
            verdict = "moved"
        elif self.ticket.cancelled is not None:
            verdict = "cancelled"
        else:
            verdict = "breached" if late else "running" if until is None else "met"
        due = self.due(began, until)
        outcome = {"met": until, "breached": due}.get(verdict)
        belongs = {"outcome": outcome, "opened": self.ticket.opened, "closed": self.ticket.closed}
        at = None if verdict in ("moved", "cancelled") else belongs[self.objective["attribution"]]
        return verdict, began, until, due, used, paused, at

    def clocks(self):
        """The clocks by cycle."""
        def stop(cycle):
            responded = cycle["acknowledged"] if self.objective["signal"] == "response_time" else None
            return earliest(responded, cycle["resolved"])

        cycles, reopening = self.ticket.cycles, self.objective["reopening"]
        if reopening == "same_cycle" and self.objective["signal"] == "resolution_time":
            spans = [(self.ticket.opened, stop(cycles[-1]))]
        else:
            spans = [(cycle["start"], stop(cycle)) for cycle in cycles]
            spans = spans if reopening in ("new_cycle", "largest") else spans[:1]
        found = [(number, self.clock(*span)) for number, span in enumerate(spans)]
        found = [(number, clock) for number, clock in found if clock]
        if reopening == "largest" and found:
            # Of equals the first counts.
            worst = max(found, key=lambda one: (WORST_LAST.index(one[1][0]), one[1][4], -one[0]))
            found = [(0, worst[1])]
        return found


def judged(program, objectives, tickets, dice):
    """What the program says: its clocks and its windows."""
    events = []
    for name, records in tickets.items():
        for time, action, priority in records:
            event = {"id": f"{name}-{time}", "time": text(time), "kind": "incident", "service": "web", "ticket": name,
                     "action": action}
            events.append(event | ({"priority": priority} if priority else {}))
    dice.shuffle(events)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "definitions").mkdir()
        (folder / "definitions" / "all.yaml").write_text(definitions(objectives))
        (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in events))
        done = subprocess.run(
            [program, "judge", "-d", folder / "definitions", "-e", folder / "events.ndjson", "--as-of", text(NOW),
             "--format", "json", "--show", "clocks,attainment"],
            capture_output=True, text=True, check=True)
    out = json.loads(done.stdout)
    clocks = {
        (row["objective"], row["ticket"], row["cycle"]): (
            row["verdict"], minute_of(row["started_at"]), minute_of(row["stopped_at"]), minute_of(row["due_at"]),
            row["elapsed_us"] / 6e7, row["paused_us"] / 6e7, minute_of(row["attributed_at"]))
        for row in out["clocks"]
    }
    windows = {(row["objective"], minute_of(row["window_start"]) // DAY): (row["good_count"], row["total_count"])
               for row in out["attainment"] if row["total_count"]}
    return clocks, windows


def walked(objectives, tickets):
    """The same, minute by minute."""
    clocks, windows = {}, defaultdict(lambda: (0, 0))
    for name, records in tickets.items():
        ticket = Ticket(records)
        for objective in objectives:
            for cycle, clock in Walk(ticket, objective).clocks():
                clocks[objective["id"], name, cycle] = clock
                if clock[0] in ("met", "breached") and clock[6] is not None:
                    key = objective["id"], clock[6] // DAY
                    good, total = windows[key]
                    windows[key] = good + (clock[0] == "met"), total + 1
    return clocks, dict(windows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the program plimsoll")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--tickets", type=int, default=50)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    dice = random.Random(arguments.seed)
    objectives = random_objectives(dice)
    tickets = {f"T{number}": random_ticket(dice) for number in range(arguments.tickets)}
    differ = 0
    for what, found, wanted in zip(["clock", "window"], judged(arguments.program, objectives, tickets, dice),
                                   walked(objectives, tickets)):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                differ += 1
                about = next(one for one in objectives if one["id"] == key[0])
                print(f"{what} {key}: found {found.get(key)}, expected {wanted.get(key)}")
                print(f"  {about}\n  {tickets.get(key[1])}")
        print(f"{len(wanted)} {what}s", Counter(value[0] for value in wanted.values()) if what == "clock" else "")
    print(f"{differ} differ")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
