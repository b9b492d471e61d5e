#!/usr/bin/env python3
"""Asks questions about agreed time and has them answered by Plimsoll and by two others, for rules R1 and R2.

    calendar_differential.py run PLIMSOLL [--seed N] [--calendars N]         all of it, exits 1 where answers differ

    calendar_differential.py ask QUESTIONS.csv [--office] [--seed N] [--calendars N]   writes them, prints the seed
    calendar_differential.py answer QUESTIONS.csv ANSWERS.csv [--by WHOM]              answers them
    calendar_differential.py compare ANSWERS.csv OTHER_ANSWERS.csv                     exits 1 where they differ

WHOM is `zoneinfo` (unless said), `businesstimedelta`, or the path of the program plimsoll, which gets a folder of
definitions for each calendar and its questions through `plimsoll calendar elapsed` and `due` on standard input.
`zoneinfo` needs Python 3.9 and the system's time-zone data, whose version should be that of the crate chrono-tz;
`businesstimedelta` needs requirements.txt.

A question is a line of these columns, instants and durations in whole microseconds:
    id          a number
    time_zone   an IANA name
    hours       `0 08:00-12:00;0 13:00-00:00`: weekday (0 is Monday) and span; at or before its start it ends next day
    holidays    `2026-01-01;2026-05-01`: days on which no span starts
    start_us, until_us   agreed time between these two is asked for
    amount_us   ... and the earliest instant at which this much has passed since the start
An answer is a line of `id, elapsed_us, due_us`; `due_us` is empty when the amount is not reached before 2060.

`businesstimedelta` (PyPI) counts the days from one to the next. It gets questions that it can answer by its own rules
(`--office`): whole seconds, because it drops what is smaller; one span a day with one break, far from midnight and from
where clocks change, because its holidays are 24 hours long and cut nights at midnight; a free weekday in each week, for
it looks no further than five years for the next holiday; and years before 2037, where its time-zone data ends.

The way of `zoneinfo` is deliberately plain: it lists the spans of each civil day around the question, turns their ends
into UTC with zoneinfo (fold=0: PEP 495 moves a skipped time forward by the gap and takes the earlier of two), unites
them, and walks over them, with no table, no sum kept from the year 1990, and no search.
"""

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
from datetime import date, datetime, time, timedelta, timezone
from itertools import groupby
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
    taken, spans = set(), []
    for _ in range(rng.randrange(1, 9)):
        day, start, end = rng.randrange(7), *(rng.randrange(24) * 60 + rng.choice([0, 1, 15, 30, 45, 59]) for _ in range(2))
        # Definitions refuse hours that overlap, and a whole day that does not start at midnight.
        minutes = {(day * 1440 + start + step) % 10_080 for step in range((end - start) % 1440)}
        if minutes and not minutes & taken:
            taken |= minutes
            spans.append(f"{day} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}")
    return spans or ["0 08:00-17:00"]


OFFICE_ZONES = ["UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu",
                "Australia/Lord_Howe", "Pacific/Auckland"]


def office_hours(rng):
    """Some days of the week from one time to another, with a break or without."""
    days = sorted(rng.sample(range(7), rng.randrange(1, 7)))
    start, end = rng.randrange(6 * 60, 11 * 60), rng.randrange(14 * 60, 22 * 60)
    clock = lambda minute: f"{minute // 60:02}:{minute % 60:02}"
    pause = rng.randrange(11 * 60 + 1, 13 * 60)
    spans = [(start, pause), (pause + rng.randrange(1, 60), end)] if rng.random() < 0.5 else [(start, end)]
    return [f"{day} {clock(begin)}-{clock(until)}" for day in days for begin, until in spans]


def ask(path, seed, calendars, office=False):
    rng = random.Random(seed)
    zones = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))
    zones, hours_of = (OFFICE_ZONES, office_hours) if office else (zones, random_hours)
    last = datetime(2036, 1, 1, tzinfo=timezone.utc) if office else LAST
    unit_us = 1_000_000 if office else 1
    first_s, last_s = micros(FIRST) // 1_000_000, micros(last) // 1_000_000
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, QUESTION)
        writer.writeheader()
        for calendar in range(calendars):
            name = rng.choice(zones)
            near = instant(rng.randrange(first_s + YEAR_S, last_s - YEAR_S) * 1_000_000)
            near = rng.choice(changes_of_clocks(ZoneInfo(name), near) or [near])
            holidays = sorted({(near + DAY * rng.randrange(-10, 10)).date() for _ in range(rng.randrange(4))})
            hours = hours_of(rng)
            for question in range(QUESTIONS_PER_CALENDAR):
                start = near + rng.randrange(-5 * DAY_US, 3 * DAY_US) * MICROSECOND
                until = start + rng.choice([rng.randrange(10 * DAY_US), rng.randrange(300) * DAY_US]) * MICROSECOND
                amount = rng.choice([rng.randrange(1, 100) * HALF_HOUR_US, rng.randrange(1, 40 * DAY_US)])
                number, days_off = calendar * QUESTIONS_PER_CALENDAR + question, ";".join(map(str, holidays))
                span = [max(value // unit_us, 1) * unit_us for value in (micros(start), micros(until), amount)]
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


def answer_by_businesstimedelta(row):
    import businesstimedelta as other
    import pytz

    zone = pytz.timezone(row["time_zone"])
    days, spans = set(), set()
    for item in row["hours"].split(";"):
        weekday, span = item.split(" ")
        days.add(int(weekday))
        spans.add(tuple(map(time.fromisoformat, span.split("-"))))
    spans, days = sorted(spans), sorted(days)
    free = next(day for day in range(7) if day not in days)
    # A day that is free anyway, once a year, so that there is always a next holiday.
    first = [date(year, 1, 1) for year in range(1989, 2062)]
    holidays = {day + DAY * ((free - day.weekday()) % 7) for day in first}
    holidays |= {date.fromisoformat(day) for day in row["holidays"].split(";") if day}
    rules = [other.WorkDayRule(spans[0][0], spans[-1][1], days, tz=zone), other.HolidayRule(holidays, tz=zone)]
    if len(spans) == 2:
        rules.append(other.LunchTimeRule(spans[0][1], spans[1][0], days, tz=zone))
    rules = other.Rules(rules)
    start, until = instant(row["start_us"]), instant(row["until_us"])
    passed = rules.difference(start, until).timedelta * (1 if start <= until else -1)
    due = start + other.BusinessTimeDelta(rules, timedelta=int(row["amount_us"]) * MICROSECOND)
    return [row["id"], passed // MICROSECOND, micros(due)]


def answer_by_plimsoll(program, rows):
    """The answers to all questions about one calendar."""
    hours = []
    for item in rows[0]["hours"].split(";"):
        weekday, span = item.split(" ")
        begin, end = span.split("-")
        day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][int(weekday)]
        hours.append(f'{{days: {day}, from: "{begin}", until: "{end.replace("00:00", "24:00")}"}}')
    holidays = ", ".join(filter(None, rows[0]["holidays"].split(";")))
    utc = lambda micros: instant(micros).isoformat()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "calendar.yaml").write_text(
            f"""{{apiVersion: plimsoll/v1, kind: Calendar, metadata: {{id: asked}},
spec: {{time_zone: {rows[0]["time_zone"]}, hours: [{", ".join(hours)}], holidays: [{holidays}]}}}}""")

        def asked(question, lines):
            command = [program, "calendar", question, "-d", folder, "-c", "asked", "--format", "csv"]
            done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{rows[0]}: {done.stderr}")
            return [answer[next(reversed(answer))] for answer in csv.DictReader(done.stdout.splitlines())]

        elapsed = asked("elapsed", [f"{utc(row['start_us'])} {utc(row['until_us'])}" for row in rows])
        amounts = [divmod(int(row["amount_us"]), 1_000_000) for row in rows]
        due = asked("due", [f"{utc(row['start_us'])} {s}.{us:06}s" for row, (s, us) in zip(rows, amounts)])
    to_micros = lambda text: micros(datetime.fromisoformat(text.replace("Z", "+00:00"))) if text else ""
    return [[row["id"], passed, to_micros(end)] for row, passed, end in zip(rows, elapsed, due, strict=True)]


def answer(questions, answers, by="zoneinfo"):
    with open(questions, newline="") as source, open(answers, "w", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(ANSWER)
        rows = csv.DictReader(source)
        if by in ("zoneinfo", "businesstimedelta"):
            writer.writerows(map(answer_one if by == "zoneinfo" else answer_by_businesstimedelta, rows))
            return
        for _, asked in groupby(rows, key=lambda row: int(row["id"]) // QUESTIONS_PER_CALENDAR):
            writer.writerows(answer_by_plimsoll(by, list(asked)))


def run(program, seed, calendars):
    """Asks both others as many questions about as many calendars; 0 when every answer is the same."""
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        for by in ("zoneinfo", "businesstimedelta"):
            questions, ours, theirs = (os.path.join(folder, by + name) for name in ("", ".ours", ".theirs"))
            print(f"{by}: ", end="", flush=True)
            ask(questions, seed, calendars, office=by != "zoneinfo")
            answer(questions, ours, program)
            answer(questions, theirs, by)
            differ |= compare(ours, theirs)
    return differ


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
    for name, files in (
        ("run", ["plimsoll"]), ("ask", ["questions"]), ("answer", ["questions", "answers"]), ("compare", ["one", "other"])
    ):
        command = commands.add_parser(name)
        for file in files:
            command.add_argument(file)
        if name in ("run", "ask"):
            command.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
            command.add_argument("--calendars", type=int, default=1_000)
        if name == "ask":
            command.add_argument("--office", action="store_true")
        if name == "answer":
            command.add_argument("--by", default="zoneinfo")
    arguments = parser.parse_args()
    if arguments.command == "run":
        return run(arguments.plimsoll, arguments.seed, arguments.calendars)
    if arguments.command == "ask":
        return ask(arguments.questions, arguments.seed, arguments.calendars, arguments.office)
    if arguments.command == "answer":
        return answer(arguments.questions, arguments.answers, arguments.by)
    return compare(arguments.one, arguments.other)


if __name__ == "__main__":
    sys.exit(main())
