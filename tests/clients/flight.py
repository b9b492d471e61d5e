"""Asks a running `plimsoll query` through ADBC's driver of Arrow Flight SQL; ends with what is wrong, if anything is.

Called with the address, the process id, ana's token, and what one question has to come to, as CSV with a header; or with the
address, a certificate and what the question has to come to, to ask it over TLS alone.
"""

import csv
import datetime
import decimal
import io
import sys
import time

import adbc_driver_flightsql.dbapi as flight
import adbc_driver_manager
import pyarrow
import pyarrow.compute

ADDRESS, EXPECTED = sys.argv[1], sys.argv[-1]
QUESTION = "SELECT verdict, count(*) AS windows, sum(good_us) AS good_us FROM attainment GROUP BY verdict ORDER BY verdict"
CERTIFICATE = "adbc.flight.sql.client_option.tls_root_certs"
AUTHORIZATION = "adbc.flight.sql.authorization_header"
CUSTOMER = "acme"


def open_as(name=None, password="pencil", **options):
    if name is not None:
        options |= {"username": name, "password": password}
    return flight.connect(ADDRESS, db_kwargs=options, autocommit=True)


def equal(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def ask(connection, question, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(question, parameters)
        return cursor.fetchall()


def as_csv(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column[0] for column in cursor.description])
        writer.writerows(cursor.fetchall())
        return text.getvalue()


def refused(ask, status, word, what):
    try:
        ask()
    except adbc_driver_manager.Error as error:
        assert error.status_code == status and word in str(error), f"{what}: {error.status_code} {error}"
    else:
        raise AssertionError(f"{what} was answered")


def questions():
    with open_as("ana") as connection:
        equal(as_csv(connection, QUESTION), EXPECTED, "the question")
        found = ask(connection, "SELECT CAST('0.999' AS DECIMAL(18, 9)) AS share, 7 AS count, true AS yes, NULL AS none, 'é' AS text")
        equal(found, [(decimal.Decimal("0.999000000"), 7, True, None, "é")], "values")
        starts = ask(connection, "SELECT DISTINCT window_start FROM attainment WHERE window_kind = 'month'")
        equal(starts, [(datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc),)], "a time")
        equal(ask(connection, "SELECT service FROM attainment WHERE false"), [], "no rows")
        equal(ask(connection, "SHOW datafusion.execution.time_zone")[0][0], "datafusion.execution.time_zone", "SHOW")
        assert len(ask(connection, "DESCRIBE outages")) > 5
        assert "Scan" in str(ask(connection, "EXPLAIN SELECT * FROM outages"))
        either = ask(connection, "SELECT 1 AS n UNION ALL SELECT 2.5 ORDER BY 1")
        equal([float(row[0]) for row in either], [1.0, 2.5], "types that follow from one another")
        views = "SELECT arrow_cast('v', 'Utf8View') AS view, arrow_cast('d', 'Dictionary(Int32, Utf8)') AS word"
        equal(ask(connection, views), [("v", "d")], "types that not every client has")


def parameters():
    question = "SELECT agreement, objective, good_us FROM attainment WHERE verdict = {} AND good_us > {} ORDER BY 1, 2, 3 LIMIT 5"
    start = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
    with open_as("ana") as connection:
        expected = ask(connection, question.format("'met'", 0))
        equal(len(expected), 5, "rows")
        for marks in [("?", "?"), ("$1", "$2")]:
            equal(ask(connection, question.format(*marks), ("met", 0)), expected, marks)
        counted = "SELECT count(*) FROM attainment WHERE window_start >= {} AND window_kind = {}"
        plain = ask(connection, counted.format("'2026-10-01T00:00:00Z'", "'month'"))
        for at in [start, "2026-10-01T00:00:00Z"]:
            equal(ask(connection, counted.format("?", "?"), (at, "month")), plain, at)
        equal(ask(connection, "SELECT ? IS NULL, ?", (None, "text")), [(True, "text")], "nothing")
        with connection.cursor() as cursor:
            for verdict, windows, _ in csv.reader(EXPECTED.splitlines()[1:]):
                cursor.execute("SELECT count(*) FROM attainment WHERE verdict = ?", (verdict,))
                equal(cursor.fetchall(), [(int(windows),)], verdict)
        for given in [None, ("met",), ("met", 0, 1)]:
            refused(lambda: ask(connection, question.format("?", "?"), given), 5, "2 parameters", given)
        two = pyarrow.record_batch({"0": [1, 2]})
        refused(lambda: ask(connection, "SELECT ?", two), 5, "more than one row", "two rows")
        refused(lambda: ask(connection, "SELECT ?", ("x" * 70_000,)), 5, "64 KiB", "much text")


def what_there_is():
    with open_as("ana") as connection:
        info = connection.adbc_get_info()
        equal(info["vendor_name"], "Plimsoll", "the name")
        equal(connection.adbc_get_table_types(), ["TABLE", "VIEW"], "kinds")
        objects = connection.adbc_get_objects(depth="all", table_name_filter="outages").read_all().to_pylist()
        equal([catalog["catalog_name"] for catalog in objects], ["plimsoll"], "catalogs")
        schemas = {schema["db_schema_name"]: schema["db_schema_tables"] for schema in objects[0]["catalog_db_schemas"]}
        equal(sorted(schemas), ["dictionary", "history", "public"], "schemas")
        equal([(table["table_name"], table["table_type"]) for table in schemas["public"]], [("outages", "VIEW")], "a view")
        equal([table["table_type"] for table in schemas["history"]], ["TABLE"], "its table")
        columns = [column["column_name"] for column in schemas["public"][0]["table_columns"]]
        equal(columns[:4], ["service", "started_at", "ended_at", "duration_us"], "columns")
        schema = connection.adbc_get_table_schema("outages", db_schema_filter="public")
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM outages")
            found = cursor.fetch_arrow_table().schema
            equal([(field.name, field.type) for field in schema], [(field.name, field.type) for field in found], "types")
        remarks = schema.field("duration_us").metadata[b"ARROW:FLIGHT:SQL:REMARKS"]
        equal(remarks, b"length in microseconds of real time; null while it lasts", "a remark")


def refusals():
    with open_as("ana") as connection:
        for statement, status, word in [
            ("SELEC 1", 5, "syntax error"),
            ("SELECT * FROM nothing", 5, "nothing"),
            ("SELECT 1; SELECT 2", 5, "more than one statement"),
            ("-- nothing", 5, "found no statement"),
            ("INSERT INTO attainment VALUES (1)", 5, ""),
            ("DELETE FROM attainment", 14, "only read"),
            ("CREATE TABLE mine (one INT)", 14, "only read"),
            ("CREATE EXTERNAL TABLE mine STORED AS CSV LOCATION '/etc/passwd'", 14, "only read"),
            ("COPY (SELECT 1) TO 'file:///tmp/one.csv' STORED AS CSV", 14, "only read"),
            ("SET datafusion.runtime.memory_limit = '100G'", 14, "only read"),
            ("DROP VIEW attainment", 14, "only read"),
            ("SELECT * FROM '/etc/passwd'", 5, "not found"),
            ("SELECT repeat('a', 1000000000)", 5, "repeat"),
            ("SELECT 1 -- " + "x" * 9_000, 5, "allowed are 8192"),
            ("SELECT value FROM generate_series(1, 1000001)", 9, "more than 1000000 rows"),
        ]:
            refused(lambda: ask(connection, statement), status, word, statement[:60])
        table = pyarrow.table({"one": [1]})
        refused(lambda: connection.cursor().adbc_ingest("mine", table), 14, "only read", "ingestion")
        refused(lambda: connection.cursor().executescript("DELETE FROM attainment"), 14, "only read", "an update")
        equal(ask(connection, "SELECT 1"), [(1,)], "after refusals")


def logins():
    token = sys.argv[3]
    with open_as(**{AUTHORIZATION: f"Bearer {token}"}) as connection:
        equal(as_csv(connection, QUESTION), EXPECTED, "with a token")
    for wrong in [f"Bearer {token}x", "Bearer", "Basic YW5hOnBlbmNpbA=="]:
        refused(lambda: ask(open_as(**{AUTHORIZATION: wrong}), "SELECT 1"), 13, "", wrong)
    refused(lambda: ask(open_as(), "SELECT 1"), 13, "log in with a name", "nobody")
    for name, password in [("ana", "pencils"), ("eve", "pencil"), ("ana", ""), ("ana over HTTP", token)]:
        begun = time.monotonic()
        refused(lambda: ask(open_as(name, password), "SELECT 1"), 13, "", (name, password))
        assert time.monotonic() - begun > 0.9, "whoever guesses has to wait"


def some_rows():
    with open_as("ana") as all_of_it, open_as("guest") as connection:
        for what, table in [("count(*), sum(good_us)", "attainment"), ("count(*), sum(elapsed_us)", "clocks")]:
            theirs = ask(all_of_it, f"SELECT {what} FROM {table} WHERE customer = ?", (CUSTOMER,))
            assert theirs[0][0] > 0, theirs
            equal(ask(connection, f"SELECT {what} FROM {table}"), theirs, table)
        equal(ask(connection, "SELECT DISTINCT customer FROM history.attainment"), [(CUSTOMER,)], "the history")
        equal(ask(connection, "SELECT customer FROM customers WHERE customer <> ?", ("?",)), [(CUSTOMER,)], "with a value")
        hidden = "events is not for those who may see the agreements of some customers only"
        refused(lambda: ask(connection, "SELECT count(*) FROM events"), 14, hidden, "events")


def peak_kb():
    with open(f"/proc/{sys.argv[2]}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def large_answers():
    """A million rows, of 208 MB: more than the memory that the server takes for them."""
    text = "x" * 200
    question = f"SELECT value, concat('{text}', CAST(value % 10 AS VARCHAR)) AS text FROM generate_series(1, 1000000)"
    with open_as("ana") as connection:
        before = peak_kb()
        with connection.cursor() as cursor:
            cursor.execute(question)
            rows, total, size = 0, 0, 0
            for batch in cursor.fetch_record_batch():
                rows, size = rows + batch.num_rows, size + batch.nbytes
                total += pyarrow.compute.sum(batch.column("value")).as_py()
        equal((rows, total), (1_000_000, 500_000_500_000), "a million rows")
        grown = (peak_kb() - before) / 1000
        assert size > 200_000_000 and grown < 100, f"the server took {grown} MB for {size / 1e6} MB"
        print(f"the server took {grown:.0f} MB for an answer of {size / 1e6:.0f} MB")
        begun = time.monotonic()
        # More of them than are answered at the same time: those that nobody reads are over.
        for _ in range(20):
            with connection.cursor() as cursor:
                cursor.execute(question)
                next(cursor.fetch_record_batch())
        equal(ask(connection, "SELECT 1"), [(1,)], "after answers that nobody read to their end")
        assert time.monotonic() - begun < 40, f"they were waited for: {time.monotonic() - begun} s"


if len(sys.argv) == 5:
    checks = [questions, parameters, what_there_is, refusals, logins, some_rows, large_answers]
elif len(sys.argv) == 4:
    with open(sys.argv[2]) as certificate:
        secret = {CERTIFICATE: certificate.read()}

    def over_tls():
        with open_as("ana", **secret) as connection:
            equal(as_csv(connection, QUESTION), EXPECTED, "over TLS")

    checks = [over_tls]
else:

    def everybody():
        for connection in [open_as(), open_as("whoever", "whatever")]:
            with connection:
                equal(as_csv(connection, QUESTION), EXPECTED, "without users")

    checks = [everybody]

for check in checks:
    check()
    print(f"{check.__name__}: as expected", flush=True)
