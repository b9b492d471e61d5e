#!/usr/bin/env python3
"""Asks and answers questions about agreed time with Python's zoneinfo, as a second opinion on rules R1 and R2.

Needs nothing but Python 3.9 and the system's time-zone data, whose version should be that of the crate chrono-tz.

    calendar_differential.py ask QUESTIONS.csv [--seed N] [--calendars N]    writes random questions, prints the seed
    calendar_differential.py answer QUESTIONS.csv ANSWERS.csv               answers them in Python
    calendar_differential.py compare ANSWERS.csv OTHER_ANSWERS.csv          exits 1 where two sets of answers differ

A question is a line of these columns, instants and durations in whole microseconds:
    id          a number
    time_zone   an IANA name
    hours       `0 08:00-12:00;0 13:00-00:00`: weekday (0 is Monday) and span; at or before its start it ends next day
    holidays    `2026-01-01;2026-05-01`: days on which no span starts
    start_us, until_us   agreed time between these two is asked for
    amount_us   ... and the earliest instant at which this much has passed since the start
An answer is a line of `id, elapsed_us, due_us`; `due_us` is empty when the amount is not reached before 2060.

The way of the answer is deliberately plain: it lists the spans of each civil day around the question, turns their ends
into UTC with zoneinfo (fold=0: PEP 495 moves a skipped time forward by the gap and takes the earlier of two), unites
them, and walks over them, with no table, no sum kept from the year 1990, and no search.
"""

import argparse
import csv
import random
import sys
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
FIRST, LAST = datetime(1990, 1, 1, tzinfo=timezone.utc), datetime(2060, 1, 1, tzinfo=timezone.utc)
QUESTION = ["id", "time_zone", "hours", "holidays", "start_us", "until_us", "amount_us"]
ANSWER = ["id", "elapsed_us", "due_us"]
QUESTIONS_PER_CALENDAR = 5
HALF_HOUR_US, DAY_US = 1_800_000_000, 86_400_000_000
YEAR_S = 366 * 86_400  # how far questions stay from the ends, so that they end before 2060


def micros(instant):
    return (instant - EPOCH) // MICROSECOND


def instant(micros_since_epoch):
    return EPOCH + int(micros_since_epoch) * MICROSECOND


def zone_version():
    """The version line of the system's time-zone data, or `unknown`."""
    for folder in TZPATH:
        source = Path(folder, "tzdata.zi")
        if source.exists():
            return source.open().readline().strip("# \n")
    return "version unknown"


def changes_of_clocks(zone, around):
    """The days near `around` on which the zone's offset differs from the day before."""
    days = [around + DAY * step for step in range(-200, 200)]
    ahead = lambda day: day.astimezone(zone).utcoffset()
    return [after for before, after in zip(days, days[1:]) if ahead(before) != ahead(after)]


def random_hours(rng):
    """Mostly what people write (whole weeks of office hours, with lunch or at night), sometimes anything at all."""
    usual = [["08:00-17:00"], ["08:00-12:00", "13:00-17:30"], ["22:00-06:00"], ["00:00-00:00"], ["06:00-00:00"]]
    if rng.random() < 0.5:
        spans, days = rng.choice(usual), rng.choice([range(5), range(7), [5, 6], [6]])
        return [f"{day} {span}" for day in days for span in spans]
    clock = lambda: f"{rng.randrange(24):02}:{rng.choice([0, 1, 15, 30, 45, 59]):02}"
    return [f"{rng.randrange(7)} {clock()}-{clock()}" for _ in range(rng.randrange(1, 9))]


def ask(path, seed, calendars):
    rng = random.Random(seed)
    zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    first_s, last_s = micros(FIRST) // 1_000_000, micros(LAST) // 1_000_000
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, QUESTION)
        writer.writeheader()
        for calendar in range(calendars):
            name = rng.choice(zones)
            near = instant(rng.randrange(first_s + YEAR_S, last_s - YEAR_S) * 1_000_000)
            near = rng.choice(changes_of_clocks(ZoneInfo(name), near) or [near])
            holidays = sorted({(near + DAY * rng.randrange(-10, 10)).date() for _ in range(rng.randrange(4))})
            hours = random_hours(rng)
            for question in range(QUESTIONS_PER_CALENDAR):
                start = near + rng.randrange(-5 * DAY_US, 3 * DAY_US) * MICROSECOND
                until = start + rng.choice([rng.randrange(10 * DAY_US), rng.randrange(300) * DAY_US]) * MICROSECOND
                amount = rng.choice([rng.randrange(1, 100) * HALF_HOUR_US, rng.randrange(1, 40 * DAY_US)])
                number, days_off = calendar * QUESTIONS_PER_CALENDAR + question, ";".join(map(str, holidays))
                span = [micros(start), micros(until), amount]
                writer.writerow(dict(zip(QUESTION, [number, name, ";".join(hours), days_off, *span])))
    questions = calendars * QUESTIONS_PER_CALENDAR
    print(f"seed {seed}: {questions} questions about {calendars} calendars, zones of {zone_version()}")


def agreed_spans(zone, hours, holidays, first_day):
    """Agreed spans in UTC in order, disjoint, from those that start on `first_day` until those of 2060."""
    to_utc = lambda day, at: datetime.combine(day, at, tzinfo=zone).astimezone(timezone.utc)
    waiting, day = [], first_day
    while day <= LAST.date() + DAY:
        if day not in holidays:
            for weekday, begin, end in hours:
                if weekday == day.weekday():
                    span = to_utc(day, begin), to_utc(day if begin < end else day + DAY, end)
                    if span[0] < span[1]:
                        waiting.append(span)
        waiting.sort()
        # A span that starts two civil days from now cannot start before this, whatever the zone does.
        settled = datetime.combine(day, time(), tzinfo=timezone.utc) - DAY
        while waiting and waiting[0][1] < settled:
            begin, end = waiting.pop(0)
            while waiting and waiting[0][0] <= end:
                end = max(end, waiting.pop(0)[1])
            if end >= settled:
                waiting.insert(0, (begin, end))
                break
            yield begin, end
        day += DAY
    yield from waiting


def answer_one(row):
    zone = ZoneInfo(row["time_zone"])
    hours = []
    for item in row["hours"].split(";"):
        weekday, span = item.split(" ")
        hours.append((int(weekday), *map(time.fromisoformat, span.split("-"))))
    holidays = {date.fromisoformat(day) for day in row["holidays"].split(";") if day}
    start, until, amount = instant(row["start_us"]), instant(row["until_us"]), int(row["amount_us"]) * MICROSECOND
    elapsed, passed, due = timedelta(), timedelta(), None
    for begin, end in agreed_spans(zone, hours, holidays, start.date() - 4 * DAY):
        begin, end = max(begin, start), min(end, LAST)
        elapsed += max(min(end, until) - begin, timedelta())
        if due is None and begin < end:
            if passed + (end - begin) >= amount:
                due = begin + (amount - passed)
            passed += end - begin
        if due is not None and begin >= until:
            break
    return [row["id"], elapsed // MICROSECOND, "" if due is None else micros(due)]


def answer(questions, answers):
    with open(questions, newline="") as source, open(answers, "w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(ANSWER)
        writer.writerows(answer_one(row) for row in csv.DictReader(source))


def compare(one, other):
    with open(one, newline="") as first, open(other, newline="") as second:
        rows, others = list(csv.DictReader(first)), {row["id"]: row for row in csv.DictReader(second)}
    different = [(row, others.get(row["id"])) for row in rows if row != others.get(row["id"])]
    for pair in different[:20]:
        print(*pair, sep="\n  ")
    print(f"{len(rows)} answers, {len(different)} differ; the second file has {len(others)}")
    return 1 if different or len(rows) != len(others) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("ask")
    command.add_argument("questions")
    command.add_argument("--seed", type=int, default=None)
    command.add_argument("--calendars", type=int, default=1_000)
    for name, files in (("answer", ("questions", "answers")), ("compare", ("one", "other"))):
        command = commands.add_parser(name)
        for file in files:
            command.add_argument(file)
    arguments = parser.parse_args()
    if arguments.command == "ask":
        seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
        return ask(arguments.questions, seed, arguments.calendars)
    if arguments.command == "answer":
        return answer(arguments.questions, arguments.answers)
    return compare(arguments.one, arguments.other)


if __name__ == "__main__":
    sys.exit(main())
