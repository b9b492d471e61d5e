"""Plimsoll's answers beside DuckDB's: the same questions of the same Parquet files, by turns, in one run.

In: the program, and the tables that `plimsoll-bench year --lake DIR` left. Out: a line for each question with the median and the
99th percentile of both, and their ratio; then the geometric mean of the ratios, and the same month of one agreement
through HTTP. What a question is about (which agreement, which month) is drawn anew for each turn; answers that differ end the run.

Plimsoll is a process of its own, asked over Postgres' protocol; DuckDB runs in this one, with as many threads. Both keep
what they may: DuckDB the bytes and the footers of files, in the tables and in the views that say what is current.
"""

import argparse
import http.client
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import duckdb
import psycopg
from deltalake import DeltaTable

YEAR = 2026
USER, PASSWORD = "bench", "warm"
TABLES = ["attainment", "breaches", "clocks", "events", "measures", "outages"]

# Of the rows with one key the newest, unless it takes the others back: what Plimsoll's views say (docs/reference/tables.md).
CURRENT = """CREATE VIEW {name} AS SELECT * FROM history.{name}
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY revision DESC, epoch DESC) = 1 AND NOT retracted"""
KEYS = {
    "attainment": "agreement, agreement_version, service, objective, window_start",
    "clocks": "agreement, agreement_version, service, objective, ticket, cycle",
    "outages": "service, started_at",
}
VIEWS = [CURRENT.format(name=name, key=key) for name, key in KEYS.items()] + [
    "CREATE VIEW events AS SELECT * FROM history.events",
    "CREATE VIEW attainment_history AS SELECT * FROM history.attainment",
    """CREATE VIEW measures AS SELECT service, indicator, calendar, time_zone, customer, bucket_start, latency_at_most_us,
        sum(good_us) AS good_us, sum(bad_us) AS bad_us FROM history.measures
        GROUP BY service, indicator, calendar, time_zone, customer, bucket_start, latency_at_most_us""",
    """CREATE VIEW breaches AS SELECT * FROM (SELECT * FROM history.breaches
        QUALIFY row_number() OVER (PARTITION BY coalesce(retracts, event), scope, agreement, agreement_version, service,
            objective, ticket, cycle, window_start, threshold_ratio, span_us, CASE WHEN span_us IS NOT NULL THEN "at" END
            ORDER BY revision DESC, epoch DESC) = 1)
        WHERE event = 'breach'""",
]


def month(number):
    """The first instant of a month of the year, from 1; the thirteenth is January of the next."""
    return datetime(YEAR + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=UTC)


class Draw:
    """What a turn is about."""

    def __init__(self, agreements, seed):
        self.services, self.random = max(1, agreements // 5), random.Random(seed)

    def service(self):
        return f"s{self.random.randrange(self.services)}"

    def agreement(self):
        return f"a{self.random.randrange(self.services)}-{self.random.randrange(5)}"

    def months(self, count):
        first = self.random.randrange(1, 14 - count)
        return [month(first), month(first + count)]

    def week(self):
        first = self.months(1)[0]
        return [first, first + timedelta(days=7)]

    def quarter(self):
        first = self.random.choice([1, 4, 7, 10])
        return [month(first), month(first + 3)]


MONTH_OF_AGREEMENT = "one agreement's month"
# Name, question, what it is about, and how long its median may take in milliseconds, where that is said (its 99th percentile
# for the first).
QUESTIONS = [
    (
        MONTH_OF_AGREEMENT,
        """SELECT service, objective, window_kind, window_start, window_end, verdict, finality, attainment_ratio, good_us, bad_us,
               budget_left_ratio
           FROM attainment WHERE agreement = %s AND window_start >= %s AND window_start < %s ORDER BY window_start, service, objective""",
        lambda draw: [draw.agreement(), *draw.months(1)],
        10,
    ),
    (
        "the portfolio's month",
        """SELECT agreement, count(*), count(*) FILTER (WHERE verdict = 'breached'), min(attainment_ratio), sum(bad_us)
           FROM attainment WHERE window_start >= %s AND window_start < %s GROUP BY agreement ORDER BY agreement""",
        lambda draw: draw.months(1),
        100,
    ),
    (
        "twelve months of all",
        """SELECT date_trunc('month', window_start), window_kind, count(*), count(*) FILTER (WHERE verdict = 'breached'),
               min(attainment_ratio), sum(good_us), sum(bad_us)
           FROM attainment WHERE window_start >= %s AND window_start < %s GROUP BY 1, 2 ORDER BY 1, 2""",
        lambda draw: [month(1), month(13)],
        300,
    ),
    (
        "twelve months of a service",
        """SELECT date_trunc('month', window_start), objective, agreement, count(*), sum(good_us), sum(bad_us)
           FROM attainment WHERE service = %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
        lambda draw: [draw.service()],
        None,
    ),
    (
        "the worst 20 of a quarter",
        """SELECT service, sum(bad_us), sum(good_us) FROM attainment
           WHERE window_kind = 'day' AND window_start >= %s AND window_start < %s
           GROUP BY service ORDER BY sum(bad_us) DESC, service LIMIT 20""",
        lambda draw: draw.quarter(),
        100,
    ),
    (
        "verdicts by kind and month",
        """SELECT date_trunc('month', window_start), window_kind, verdict, count(*) FROM attainment
           WHERE window_start >= %s AND window_start < %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
        lambda draw: draw.months(6),
        None,
    ),
    (
        "revisions by month",
        "SELECT date_trunc('month', recorded_at), finality, count(*) FROM attainment_history GROUP BY 1, 2 ORDER BY 1, 2",
        lambda draw: [],
        None,
    ),
    (
        "breaches by month",
        """SELECT date_trunc('month', "at"), scope, signal, count(*) FROM breaches WHERE "at" >= %s AND "at" < %s
           GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
        lambda draw: draw.months(3),
        None,
    ),
    (
        "tickets of a month",
        """SELECT verdict, count(*), max(elapsed_us), sum(elapsed_us) FROM clocks
           WHERE started_at >= %s AND started_at < %s GROUP BY verdict ORDER BY verdict""",
        lambda draw: draw.months(1),
        None,
    ),
    (
        "the longest outages",
        """SELECT service, started_at, duration_us FROM outages WHERE started_at >= %s AND started_at < %s
           AND duration_us IS NOT NULL ORDER BY duration_us DESC, started_at, service LIMIT 20""",
        lambda draw: draw.quarter(),
        None,
    ),
    (
        "what happened in a week",
        """SELECT date_trunc('day', time), kind, count(*), count(DISTINCT service) FROM events
           WHERE time >= %s AND time < %s GROUP BY 1, 2 ORDER BY 1, 2""",
        lambda draw: draw.week(),
        None,
    ),
    (
        "days of a service",
        """SELECT bucket_start, indicator, good_us, bad_us FROM measures
           WHERE service = %s AND bucket_start >= %s AND bucket_start < %s ORDER BY bucket_start, indicator, good_us""",
        lambda draw: [draw.service(), *draw.months(2)],
        None,
    ),
]


class Plimsoll:
    """The program, which answers over Postgres' protocol and HTTP until `end`."""

    def __init__(self, program, lake):
        self.folder = tempfile.TemporaryDirectory()
        users = os.path.join(self.folder.name, "users")
        with open(users, "wb") as file:
            file.write(subprocess.run([program, "password", USER], input=PASSWORD.encode(), check=True, capture_output=True).stdout)
        token = subprocess.run([program, "token", "reader"], check=True, capture_output=True, text=True)
        with open(users, "a") as file:
            file.write(token.stdout)
        self.token = next(word for word in token.stderr.split() if word.startswith("plimsoll_"))
        self.process = subprocess.Popen(
            [program, "query", "--lake", lake, "--listen", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--users", users],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )
        found = {}
        while len(found) < 2:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"{program} ended before it answered")
            if "answering on " in line:
                kind, address = line.split("answering on ")[1].split("://")
                found[kind.strip()] = address.strip().split("/")[0]
        self.http = found["http"]
        host, port = found["postgres"].split(":")
        self.connection = psycopg.connect(host=host, port=port, user=USER, password=PASSWORD, dbname="plimsoll", autocommit=True)

    def ask(self, question, values):
        return self.connection.execute(question, values, prepare=True).fetchall()

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Duck:
    """DuckDB in this process, over the files that the tables consist of."""

    def __init__(self, lake, threads):
        self.connection = duckdb.connect()
        for setting in [f"threads = {threads}", "TimeZone = 'UTC'", "parquet_metadata_cache = true"]:
            self.connection.execute(f"SET {setting}")
        self.connection.execute("CREATE SCHEMA history")
        for table in TABLES:
            files = DeltaTable(os.path.join(lake, table)).file_uris()
            # The date of a partition is in the name of its folder.
            named = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
            self.connection.execute(f"CREATE VIEW history.{table} AS SELECT * FROM read_parquet([{named}], hive_partitioning = true)")
        for view in VIEWS:
            self.connection.execute(view)

    def ask(self, question, values):
        return self.connection.execute(question.replace("%s", "?"), values).fetchall()


def timed(engine, question, values):
    began = time.perf_counter()
    rows = engine.ask(question, values)
    return (time.perf_counter() - began) * 1e3, rows


def percentile(times, share):
    """The smallest time that so large a share of them does not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]


def compare(plimsoll, duck, draw, rounds):
    """Asks every question by turns; returns the ratios of the medians, and which limits were missed."""
    print(f"{'milliseconds':<28} {'rows':>6} {'Plimsoll':>9} {'p99':>8} {'DuckDB':>9} {'p99':>8} {'ratio':>6}")
    ratios, missed = [], []
    for name, question, about, limit in QUESTIONS:
        ours, theirs, rows = [], [], 0
        # The first turns make it warm.
        for turn in range(-3, rounds):
            values = about(draw)
            first, second = (plimsoll, duck) if turn % 2 else (duck, plimsoll)
            one, other = timed(first, question, values), timed(second, question, values)
            if one[1] != other[1]:
                pairs = [pair for pair in zip(one[1], other[1]) if pair[0] != pair[1]]
                raise SystemExit(f"{name} {values}: {len(one[1])} and {len(other[1])} rows, other: {pairs[:3]}")
            if turn >= 0:
                mine, his = (one, other) if first is plimsoll else (other, one)
                ours.append(mine[0])
                theirs.append(his[0])
                rows = max(rows, len(mine[1]))
        if rows == 0:
            raise SystemExit(f"{name}: no answer has a row, so nothing was measured")
        ratios.append(statistics.median(ours) / statistics.median(theirs))
        shown = [statistics.median(ours), percentile(ours, 0.99), statistics.median(theirs), percentile(theirs, 0.99)]
        print(f"{name:<28} {rows:>6} {shown[0]:>9.1f} {shown[1]:>8.1f} {shown[2]:>9.1f} {shown[3]:>8.1f} {ratios[-1]:>6.2f}", flush=True)
        took = shown[1] if name == MONTH_OF_AGREEMENT else shown[0]
        if limit and took > limit:
            missed.append(f"{name}: {took:.1f} ms are more than {limit}")
    return ratios, missed


def month_over_http(plimsoll, draw, rounds):
    """The month of one agreement through HTTP, on one connection."""
    connection = http.client.HTTPConnection(plimsoll.http)
    times = []
    for turn in range(-3, rounds):
        since, until = (instant.strftime("%Y-%m-%d") for instant in draw.months(1))
        address = "/v1/attainment?" + urlencode({"agreement": draw.agreement(), "from": since, "until": until})
        began = time.perf_counter()
        connection.request("GET", address, headers={"Authorization": f"Bearer {plimsoll.token}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{address}: {answer.status} {body[:300]}")
        if turn >= 0:
            times.append((time.perf_counter() - began) * 1e3)
    return times


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program", help="such as target/release/plimsoll")
    arguments.add_argument("lake", help="what `plimsoll-bench year --lake DIR` left")
    arguments.add_argument("--agreements", type=int, default=10_000, help="how many it was made with")
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--http-rounds", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    plimsoll = Plimsoll(given.program, given.lake)
    try:
        duck = Duck(given.lake, os.cpu_count())
        draw = Draw(given.agreements, given.seed)
        ratios, missed = compare(plimsoll, duck, draw, given.rounds)
        print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}")
        times = month_over_http(plimsoll, draw, given.http_rounds)
        print(f"{MONTH_OF_AGREEMENT} through HTTP: median {statistics.median(times):.1f} ms, 99th percentile {percentile(times, 0.99):.1f} ms")
        if percentile(times, 0.99) > 10:
            missed.append("through HTTP it takes more than 10 ms")
    finally:
        plimsoll.end()
    if statistics.geometric_mean(ratios) > 1:
        missed.append("DuckDB is faster")
    print("\n".join(missed) or "within the limits")
    sys.exit(bool(missed))


main()
