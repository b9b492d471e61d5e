#!/usr/bin/env python3
"""What tests/real/incidents must give, computed with pandas and numpy from the log of incidents.

The life of all tickets is found at once by groupby, shift, cumsum and ffill over the sorted log. All its times are
whole minutes, so clocks are run by counting: minutes that the calendar agrees to and that lie in no pause. A clock is
due at the end of the minute that uses up its target. The rules are those at the head of engine/src/ticket.rs.

    incidents.py --data DIR --as-of T --out FILE      (the form of FILE: see expected.py)
"""

from collections import namedtuple

import numpy as np
import pandas as pd

from expected import HOUR, MINUTE, arguments, counted, micros, sums_by_window, windows, write

EFFECTIVE_FROM = "2016-01-01"
GRACE = 5 * MINUTE  # the lateness of a Source unless told
FIRST, LAST = micros("2016-01-01") // MINUTE, micros("2020-01-01") // MINUTE  # the minutes that are counted
PAUSED = ["Awaiting User Info", "Awaiting Vendor", "Awaiting Problem", "Awaiting Evidence"]
DONE = ["Resolved", "Closed"]
ALL = ("P1", "P2", "P3", "P4")

Clock = namedtuple("Clock", "agreement id kind priorities calendar within share window reopening attribution restart")
BUSINESS, ALWAYS = "business-hours", "24x7"


def desk(objective, kind, priority, within, share):
    return Clock("desk", objective, kind, (priority,), BUSINESS, within, share, "month", "same_cycle", "outcome", False)


def variant(objective, kind, priorities, calendar, within, window, reopening, attribution, restart=False):
    return Clock("desk-variants", objective, kind, priorities, calendar, within, 700_000_000, window, reopening,
                 attribution, restart)


CLOCKS = [
    desk("response-p1", "response", "P1", HOUR // 2, 900_000_000),
    desk("response-p2", "response", "P2", 1 * HOUR, 900_000_000),
    desk("response-p3", "response", "P3", 4 * HOUR, 800_000_000),
    desk("response-p4", "response", "P4", 9 * HOUR, 800_000_000),
    desk("resolution-p1", "resolution", "P1", 4 * HOUR, 900_000_000),
    desk("resolution-p2", "resolution", "P2", 9 * HOUR, 800_000_000),
    desk("resolution-p3", "resolution", "P3", 27 * HOUR, 700_000_000),
    desk("resolution-p4", "resolution", "P4", 45 * HOUR, 700_000_000),
    variant("new-cycle", "resolution", ALL, BUSINESS, 27 * HOUR, "week", "new_cycle", "opened"),
    variant("first-only", "resolution", ALL, BUSINESS, 27 * HOUR, "quarter", "first_only", "closed"),
    variant("largest", "resolution", ALL, ALWAYS, 72 * HOUR, "month", "largest", "outcome"),
    variant("restart", "resolution", ("P1", "P2"), BUSINESS, 9 * HOUR, "month", "same_cycle", "outcome", True),
    variant("response-each-cycle", "response", ALL, ALWAYS, 1 * HOUR, "month", "new_cycle", "outcome"),
]


class AgreedMinutes:
    """The minutes of a calendar: which count, how many lie before each, and where the n-th is."""

    def __init__(self, business):
        minutes = np.arange(FIRST, LAST)
        self.agreed = np.ones(len(minutes), dtype=bool)
        if business:
            weekday = (minutes // 1440 + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
            hour = minutes % 1440 // 60
            self.agreed = (weekday < 5) & (hour >= 8) & (hour < 17)
        self.before = np.concatenate([[0], np.cumsum(self.agreed)])
        self.nth = np.flatnonzero(self.agreed)

    def between(self, start, end):
        return int(self.before[end] - self.before[start])

    def unpaused(self, start, end, pauses):
        """The places of the minutes of [start, end) that count and lie in no pause."""
        counts = self.agreed[start:end].copy()
        for pause_start, pause_end in pauses:
            counts[max(pause_start - start, 0):max(pause_end - start, 0)] = False
        return start + np.flatnonzero(counts)

    def run(self, start, end, pauses, target):
        """(elapsed, paused, due) of a clock whose pauses are known in [start, end)."""
        pauses = [pause for pause in pauses if pause[0] < end and pause[1] > start]
        if pauses:
            running = self.unpaused(start, end, pauses)
            elapsed, paused = len(running), self.between(start, end) - len(running)
        else:
            elapsed, paused = self.between(start, end), 0
        if elapsed < target:
            due = self.nth[self.before[end] + target - elapsed - 1] + 1
        elif pauses:
            due = running[target - 1] + 1
        else:
            due = self.nth[self.before[start] + target - 1] + 1
        return elapsed, paused, int(due)


def read_log(data, as_of):
    """The known updates in the order of time and sys_mod_count; instants in minutes since FIRST, missing is NaN."""
    log = pd.read_csv(data / "itsm-incidents" / "incident_event_log.csv.gz", dtype=str)
    for column in ["opened_at", "sys_updated_at", "resolved_at", "closed_at"]:
        times = pd.to_datetime(log[column].replace("?", None), format="%d/%m/%Y %H:%M")
        log[column] = (times - pd.Timestamp(FIRST * MINUTE, unit="us")) / pd.Timedelta(minutes=1)
    log["order"] = log.sys_mod_count.astype(int)
    log = log[log.sys_updated_at <= as_of].sort_values(["number", "sys_updated_at", "order"], ignore_index=True)
    assert not log.duplicated(["number", "sys_updated_at", "order"]).any(), "a tie that the order does not decide"
    log["priority"] = "P" + log.priority.str[0]
    log["good"] = log.made_sla == "true"
    return log


def add_story(log):
    """Adds what each update means: opened, at, state, done, cycle, cycle_start, and which named times are believed."""
    ticket = log.groupby("number")
    named = log.opened_at.where(log.opened_at <= log.sys_updated_at)
    log["opened"] = named.groupby(log.number).transform("last").fillna(ticket.sys_updated_at.transform("first"))
    log["at"] = log[["sys_updated_at", "opened"]].max(axis=1)
    log["said"] = log.incident_state.where(log.incident_state != "-100")
    log["state"] = log.said.groupby(log.number).ffill()
    log["done"] = log.state.isin(DONE)
    was_done = log.done.groupby(log.number).shift(fill_value=False)
    reopened = was_done & ~log.done
    log["cycle"] = reopened.groupby(log.number).cumsum().astype(int)
    log["cycle_start"] = log["at"].where(reopened).groupby(log.number).ffill().fillna(log.opened)
    for column in ["resolved_at", "closed_at"]:
        # Not what is still to come, and after a reopening not what is left from before it.
        believed = (log[column] <= log.sys_updated_at) & ((log.cycle == 0) | (log[column] >= log.cycle_start))
        log[column + "_believed"] = log[column].where(believed).clip(lower=log.cycle_start)
    return log


def cycles_of(log):
    """number, cycle -> start, response, resolution."""
    keys = ["number", "cycle"]
    groups = log.groupby(keys)
    worked_on = log[log.said.isin(["Active", *PAUSED])].groupby(keys)["at"].first()
    done = log[log.done]
    first = done.groupby(keys).head(1).set_index(keys)
    at_first = first["at"].where(first.state != "Closed", first.closed_at_believed.fillna(first["at"]))
    last_named = done.groupby(keys).resolved_at_believed.last()
    cycles = pd.DataFrame({"start": groups.cycle_start.first()})
    cycles["resolved"] = last_named.fillna(at_first).reindex(cycles.index)
    cycles["responded"] = worked_on.reindex(cycles.index)
    cycles["responded"] = cycles[["responded", "resolved"]].min(axis=1)
    return cycles


def closings_of(log):
    """number -> when it was last closed, what made_sla said then, and whether it still is closed."""
    closed = log.state == "Closed"
    run = (closed != closed.groupby(log.number).shift()).cumsum()
    in_run = log[closed].groupby(["number", run[closed]])
    closed_at = in_run.closed_at_believed.last().fillna(in_run["at"].first())
    closings = pd.DataFrame({"at": closed_at, "good": in_run.good.last()}).groupby("number").last()
    closings["lasts"] = closed.groupby(log.number).last().reindex(closings.index)
    return closings


def pauses_of(log):
    """number -> list of (start, end); the end is NaN while it lasts."""
    said = log[log.said.notna()]
    paused = said.said.isin(PAUSED)
    run = (paused != paused.groupby(said.number).shift()).groupby(said.number).cumsum()
    runs = said.assign(paused=paused).groupby(["number", run]).agg(start=("at", "first"), paused=("paused", "first"))
    runs["end"] = runs.start.groupby("number").shift(-1)
    runs = runs[runs.paused & (runs.end != runs.start)]
    return runs.groupby("number").apply(lambda rows: list(zip(rows.start, rows.end))).to_dict()


def priorities_of(log):
    """number -> list of (since, priority) with neighbours that differ."""
    first = log.groupby("number").head(1).assign(at=lambda rows: rows.opened)
    steps = pd.concat([first, log]).drop_duplicates(["number", "at"], keep="last").sort_values(["number", "at"])
    steps = steps[steps.priority != steps.priority.groupby(steps.number).shift()]
    return steps.groupby("number").apply(lambda rows: list(zip(rows["at"], rows.priority))).to_dict()


class Ticket(namedtuple("Ticket", "number opened cycles pauses priorities closed")):
    """One ticket: `cycles` are (start, responded, resolved), NaN where there is none; instants are minutes."""

    def clocks(self, rule, minutes, now):
        """The clocks under one rule, one a cycle that it looks at."""
        stop = 1 if rule.kind == "response" else 2
        spans = [(cycle[0], cycle[stop]) for cycle in self.cycles]
        if rule.kind == "resolution" and rule.reopening == "same_cycle":
            spans = [(self.opened, spans[-1][1])]
        elif rule.reopening == "first_only" or (rule.kind == "response" and rule.reopening != "new_cycle"):
            spans = spans[:1]
        pauses = list(self.pauses)
        if rule.reopening == "same_cycle":
            pauses += [(one[2], following[0]) for one, following in zip(self.cycles, self.cycles[1:])]
        results = [dict(clock, cycle=cycle) for cycle, span in enumerate(spans)
                   if (clock := self.clock(rule, minutes, span, pauses, now))]
        if rule.reopening == "largest":
            rank = ["moved", "met", "running", "breached"]
            largest = max(results, key=lambda clock: (rank.index(clock["verdict"]), clock["elapsed"]), default=None)
            return [dict(largest, cycle=0)] if largest else []
        return results

    def stretches(self, rule, start, stop):
        """(start, end, priority) of the times in which the rule applied; one, unless each priority starts anew."""
        until = [since for since, _ in self.priorities[1:]] + [np.nan]
        found = []
        for place, ((since, priority), following) in enumerate(zip(self.priorities, until)):
            if following <= start or (since >= stop and since > start):
                continue
            end = np.nanmin([following, stop]) if not (np.isnan(following) and np.isnan(stop)) else np.nan
            if priority in rule.priorities:
                found.append((max(since, start), end, priority))
        if found and not rule.restart:
            found = [(start, found[-1][1], found[-1][2])]
        return found

    def clock(self, rule, minutes, span, pauses, now):
        target = rule.within // MINUTE
        start, stop = span
        judged = None
        for start, end, priority in self.stretches(rule, start, stop):
            known_until = int(now if np.isnan(end) else end)
            known = [(int(paused), int(np.nanmin([resumed, known_until]))) for paused, resumed in pauses]
            elapsed, paused, due = minutes.run(int(start), max(known_until, int(start)), known, target)
            judged = {"started": start, "stopped": end, "elapsed": elapsed, "paused": paused, "due": due}
            judged["priority"] = priority
            if elapsed > target:
                break
        if judged is None:
            return None
        end = judged["stopped"]
        if judged["elapsed"] > target:
            judged["verdict"] = "breached"
        elif np.isnan(end):
            judged["verdict"] = "running"
        else:
            judged["verdict"] = "met" if end == stop else "moved"
        if np.isnan(end) and judged["elapsed"] < target and any(np.isnan(resumed) for _, resumed in pauses):
            judged["due"] = None  # nobody knows, while it is paused
        judged["attributed"] = self.attributed(rule, judged)
        return judged

    def attributed(self, rule, judged):
        if judged["verdict"] == "moved":
            return None
        if rule.attribution != "outcome":
            return self.opened if rule.attribution == "opened" else self.closed
        return {"met": judged["stopped"], "breached": judged["due"], "running": None}[judged["verdict"]]


def tickets_of(log):
    cycles = cycles_of(log)[["start", "responded", "resolved"]].groupby("number")
    cycles = cycles.apply(lambda rows: rows.to_numpy().tolist()).to_dict()
    pauses, priorities, closings = pauses_of(log), priorities_of(log), closings_of(log)
    closed = closings["at"][closings.lasts].to_dict()
    for number, opened in log.groupby("number").opened.first().items():
        yield Ticket(number, opened, cycles[number], pauses.get(number, []), priorities[number], closed.get(number))


def clock_rows(log, calendars, now):
    instant = lambda minute: pd.NA if minute is None or np.isnan(minute) else int(minute + FIRST) * MINUTE
    rows = []
    for ticket in tickets_of(log):
        for rule in CLOCKS:
            for clock in ticket.clocks(rule, calendars[rule.calendar], now):
                rows.append({
                    "agreement": rule.agreement, "objective": rule.id, "service": "service-desk",
                    "ticket": ticket.number, "cycle": clock["cycle"], "priority": clock["priority"],
                    "started_at": instant(clock["started"]), "stopped_at": instant(clock["stopped"]),
                    "due_at": instant(clock["due"]), "attributed_at": instant(clock["attributed"]),
                    "elapsed_us": clock["elapsed"] * MINUTE, "paused_us": clock["paused"] * MINUTE,
                    "target_us": rule.within, "verdict": clock["verdict"],
                })
    return pd.DataFrame(rows)


def main():
    given = arguments(__doc__)
    assert given.as_of % MINUTE == 0, "clocks are counted in whole minutes"
    now = given.as_of // MINUTE - FIRST
    calendars = {BUSINESS: AgreedMinutes(True), ALWAYS: AgreedMinutes(False)}
    log = add_story(read_log(given.data, now))
    clocks = clock_rows(log, calendars, now)
    closings = closings_of(log)
    closed_at = (closings["at"].to_numpy().astype("int64") + FIRST) * MINUTE
    attainment = []

    def judge(agreement, objective, window, calendar, share, at, good):
        frame = windows(window, EFFECTIVE_FROM, given.as_of, GRACE)
        inside = at < frame.window_end.iloc[-1]
        frame = counted(frame, *sums_by_window(frame, at[inside], good[inside]), share)
        edges = frame[["segment_start", "segment_end"]].to_numpy() // MINUTE - FIRST
        frame["agreed_us"] = [calendars[calendar].between(start, end) * MINUTE for start, end in edges]
        attainment.append(frame.assign(agreement=agreement, objective=objective, service="service-desk"))

    for window in ("month", "year"):
        judge("desk", f"made-sla-{window}", window, ALWAYS, 600_000_000, closed_at, closings.good.to_numpy())
    for rule in CLOCKS:
        own = clocks[(clocks.agreement == rule.agreement) & (clocks.objective == rule.id)]
        decided = own[own.verdict.isin(["met", "breached"]) & own.attributed_at.notna()]
        at, good = decided.attributed_at.to_numpy().astype("int64"), (decided.verdict == "met").to_numpy()
        judge(rule.agreement, rule.id, rule.window, rule.calendar, rule.share, at, good)
    write(given.out, {"attainment": pd.concat(attainment), "clocks": clocks})


if __name__ == "__main__":
    main()
