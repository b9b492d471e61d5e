"""Asks a running `plimsoll query` through psycopg 3 and SQLAlchemy; ends with what is wrong, if anything is.

Called with the port, the number of events in the tables, and what one question has to come to, as CSV with a header.
"""

import csv
import datetime
import decimal
import io
import sys

import psycopg
import sqlalchemy

PORT, EVENTS, EXPECTED = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
QUESTION = "SELECT verdict, count(*) AS windows, sum(good_us) AS good_us FROM attainment GROUP BY verdict ORDER BY verdict"
ADDRESS = f"host=127.0.0.1 port={PORT} dbname=plimsoll"


def as_csv(cursor):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in cursor.description])
    writer.writerows(cursor.fetchall())
    return text.getvalue()


def equal(found, expected, what):
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def refused(connection, statement, state, word):
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        equal(error.sqlstate, state, f"{statement}: {error}")
        assert word in str(error), f"{statement}: {error}"
    else:
        raise AssertionError(f"{statement} was answered")


def questions():
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil", autocommit=True) as connection:
        equal(as_csv(psycopg.ClientCursor(connection).execute(QUESTION)), EXPECTED, "simple protocol")
        equal(as_csv(connection.execute(QUESTION)), EXPECTED, "extended protocol")
        with connection.cursor(binary=True) as cursor:
            equal(as_csv(cursor.execute(QUESTION)), EXPECTED, "binary")
        for _ in range(7):  # From the sixth time on psycopg prepares it.
            cursor = connection.execute("SELECT count(*) FROM events WHERE time >= %s", [datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)])
            equal(cursor.fetchone(), (EVENTS,), "a time as a parameter")
        with connection.cursor(binary=True) as cursor:
            cursor.execute(
                "SELECT window_start, attainment_ratio, agreement_version, customer FROM attainment "
                "WHERE agreement = %s AND attainment_ratio <= %s ORDER BY window_start LIMIT %s",
                ["sla-acme-web-shop", decimal.Decimal("1"), 1],
            )
            start, ratio, version, customer = cursor.fetchone()
        equal((start.utcoffset(), type(ratio), version, customer), (datetime.timedelta(0), decimal.Decimal, 1, "acme"), "types")
        rows = connection.execute("SELECT id FROM events ORDER BY id").fetchall()
        equal(len(rows), EVENTS, "a large answer")
        both = "SELECT s.service, (SELECT count(*) FROM outages o WHERE o.service = s.service) AS outages FROM services s ORDER BY 1"
        joined = (
            "SELECT s.service, count(o.started_at) AS outages FROM services s LEFT JOIN outages o ON o.service = s.service "
            "GROUP BY 1 ORDER BY 1"
        )
        equal(connection.execute(both).fetchall(), connection.execute(joined).fetchall(), "a query within a question")
        three = psycopg.ClientCursor(connection).execute("SELECT 1 AS one; SELECT 2 AS two; " + QUESTION)
        equal(three.fetchone(), (1,), "the first of several statements")
        assert three.nextset() and three.nextset()
        equal(as_csv(three), EXPECTED, "the last of several statements")
        equal(connection.execute("SHOW server_version").fetchone(), ("16.6",), "a setting")
        connection.execute("SET statement_timeout = '1ms'")
        refused(connection, "SELECT count(*) FROM events a, events b WHERE a.id < b.id", "57014", "within 0.001 s")
        connection.execute("RESET statement_timeout")


def values():
    """Values of parameters are what they are, whatever they are compared with."""
    day = datetime.date(2026, 10, 1)
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil", autocommit=True) as connection:

        def count(where, *parameters):
            return connection.execute(f"SELECT count(*) FROM attainment WHERE {where}", parameters or None).fetchone()[0]

        exact = count("attainment_ratio > 0.999")
        for value in [0.999, decimal.Decimal("0.999"), "0.999"]:
            equal(count("attainment_ratio > %s", value), exact, f"{value!r} against a ratio")
        equal(count("attainment_ratio = %s", 1), count("attainment_ratio = 1"), "an integer against a ratio")
        for value in [5.5, decimal.Decimal("5.5")]:
            equal(count("good_us > %s", value), count("good_us >= 6"), f"{value!r} against an integer")
        all_rows = count("true")
        equal(count("(%s::text IS NULL OR customer = %s)", None, None), all_rows, "nothing chosen")
        equal(
            count("(%s::text IS NULL OR customer = %s)", "acme", "acme"), count("customer = 'acme'"), "a customer chosen"
        )
        start = count("window_start >= '2026-10-01'")
        for value in [day, "2026-10-01", "2026-10-01 +00", datetime.datetime(2026, 10, 1)]:
            equal(count("window_start >= %s", value), start, f"{value!r} against a time")
        a_day = datetime.timedelta(days=1)
        equal(count("window_start + %s >= '2026-10-02'", a_day), start, "a duration added to a time")
        first, later = connection.execute(
            "SELECT window_start, window_start + %s FROM attainment ORDER BY window_start LIMIT %s", [a_day, 1]
        ).fetchone()
        equal(later - first, a_day, "a time and a duration")
        met = count("verdict IN ('met', 'breached')")
        equal(count("verdict = ANY(%s)", ["met", "breached"]), met, "a list")
        equal(count("verdict = ANY(%s)", "{met,breached}"), met, "a list as text")
        equal(count("verdict = ANY('{met,breached}'::text[])"), met, "a list within the statement")
        equal(count("good_us = ANY('{0,5}')"), count("good_us IN (0, 5)"), "a list of numbers")
        cursor = connection.execute("SELECT %s, %s::text", ["{a}", None])
        equal((cursor.fetchone(), cursor.description[0].type_code), (("{a}", None), 25), "texts")
        equal(connection.execute("SELECT '{1,2}'::int[], '{\"a,b\",NULL}'::text[]").fetchone(), ([1, 2], ["a,b", None]), "arrays")
        refused(connection, "SELECT 'a,b'::text[]", "42000", "is no array")


def settings():
    """What is said of a connection holds as long as it is said for, and is shown as it holds."""
    options = "-c statement_timeout=2s -c timezone=Europe/Berlin"
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil", options=options) as connection:
        heard = []
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))

        def shown(name):
            return connection.execute(f"SHOW {name}").fetchone()[0]

        equal((shown("statement_timeout"), shown("timezone")), ("2s", "UTC"), "options")
        connection.execute("SET TIME ZONE 'Europe/Berlin'")
        equal((shown("timezone"), len(heard)), ("UTC", 1), f"a time zone: {heard}")
        connection.commit()
        connection.execute("SET LOCAL statement_timeout = '3s'")
        equal(shown("statement_timeout"), "3s", "within the transaction")
        connection.commit()
        equal(shown("statement_timeout"), "2s", "after a commit")
        connection.execute("SET statement_timeout = '4s'")
        connection.rollback()
        equal(shown("statement_timeout"), "2s", "after a rollback")
        connection.execute("SET statement_timeout = '10min'")
        equal(shown("statement_timeout"), "1min", "more than there is")
        connection.commit()
        equal(shown("statement_timeout"), "1min", "for good")
        connection.execute("SET intervalstyle = iso_8601")
        equal(connection.info.parameter_status("IntervalStyle"), "iso_8601", "what is told of a setting")


def savepoints():
    """A transaction that failed goes on behind a savepoint."""
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil") as connection:
        for cursor in [connection.cursor(), psycopg.ClientCursor(connection)]:
            cursor.execute("SELECT 1")
            try:
                with connection.transaction():
                    cursor.execute("SELECT * FROM nothing")
            except psycopg.Error as error:
                equal(error.sqlstate, "42000", str(error))
            else:
                raise AssertionError("nothing failed")
            equal(cursor.execute("SELECT 1").fetchone(), (1,), "behind a savepoint")
            connection.commit()
        refused(connection, "SELECT * FROM nothing", "42000", "nothing")
        refused(connection, "SHOW timezone", "25P02", "ROLLBACK")


def refusals():
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil", autocommit=True) as connection:
        for statement, state, word in [
            ("SELEC 1", "42601", "syntax error"),
            ("SELECT * FROM nothing", "42000", "nothing"),
            ("INSERT INTO attainment VALUES (1)", "42000", ""),
            ("DELETE FROM attainment", "25006", "only read"),
            ("CREATE TABLE mine (one INT)", "25006", "only read"),
            ("CREATE EXTERNAL TABLE mine STORED AS CSV LOCATION '/etc/passwd'", "42601", ""),
            ("COPY attainment TO '/tmp/attainment.csv'", "42000", "not supported"),
            ("COPY (SELECT 1) TO 'file:///tmp/one.csv'", "42000", "not supported"),
            ("SELECT CAST(1 AS DECIMAL(38, 30)) AS fine", "22003", "Scale 30"),
            ("SELECT a.*, b.* FROM events a, events b LIMIT 1000000", "53000", "64 MiB"),
            ("SELECT encode('a', 'hex')", "42000", "encode"),
            ("SELECT * FROM '/etc/passwd'", "42000", "not found"),
            ("SELECT * FROM \"../../etc/passwd\"", "42000", "not found"),
            ("DROP VIEW attainment", "25006", "only read"),
            ("SET datafusion.runtime.memory_limit = '100G'", "42704", "no setting"),
            ("SET default_transaction_read_only = off", "22023", "cannot be"),
            ("SET timezone = 'Europe/Nowhere'", "22023", "time zone"),
            ("SET intervalstyle = sql_standard", "22023", "iso_8601"),
            ("SET datestyle = 'nonsense'", "22023", "iso"),
            ("SET ROLE postgres", "42601", "not understood"),
        ]:
            refused(connection, statement, state, word)
        equal(connection.execute("SELECT 1").fetchone(), (1,), "after refusals")
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil") as connection:
        refused(connection, "SELECT * FROM nothing", "42000", "nothing")
        refused(connection, "SELECT 1", "25P02", "ROLLBACK")
        connection.rollback()
        equal(connection.execute("SELECT 1").fetchone(), (1,), "after a rollback")
    for who in ["user=ana password=pencils", "user=eve password=pencil", "user=ana password=''"]:
        try:
            psycopg.connect(f"{ADDRESS} {who}")
        except psycopg.OperationalError:
            pass
        else:
            raise AssertionError(f"{who} may connect")


def without_a_password():
    """A client that goes on asking after its password was refused."""
    import socket
    import struct

    def message(kind, body):
        return kind + struct.pack("!i", len(body) + 4) + body

    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connection:
        start = b"\0\3\0\0user\0ana\0database\0plimsoll\0\0"
        connection.sendall(struct.pack("!i", len(start) + 4) + start)
        connection.recv(4096)
        connection.sendall(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"n,,n=ana"))
        connection.sendall(message(b"Q", b"SELECT verdict AS seen FROM attainment\0") * 3)
        said = b""
        try:
            while part := connection.recv(65536):
                said += part
        except ConnectionError:
            pass
    assert b"seen" not in said and b"breached" not in said, said


def without_end():
    """A client that is not in and sends a message that does not end."""
    import socket
    import struct

    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as connection:
        start = b"\0\3\0\0user\0ana\0database\0plimsoll\0\0"
        connection.sendall(struct.pack("!i", len(start) + 4) + start)
        connection.recv(4096)
        connection.sendall(b"p" + struct.pack("!i", 1 << 29))
        try:
            for _ in range(1 << 9):
                connection.sendall(bytes(1 << 16))
        except ConnectionError:
            return
    raise AssertionError("32 MiB of a password were taken in")


def cancellation():
    with psycopg.connect(f"{ADDRESS} user=ana password=pencil", autocommit=True) as connection:
        import threading

        timer = threading.Timer(1, connection.cancel)
        timer.start()
        try:
            connection.execute("SELECT count(*) FROM events a, events b WHERE a.id < b.id")
        except psycopg.Error as error:
            equal(error.sqlstate, "57014", f"cancelled: {error}")
        else:
            raise AssertionError("nothing was cancelled")
        timer.join()


def reflection():
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://ana:pencil@127.0.0.1:{PORT}/plimsoll")
    inspector = sqlalchemy.inspect(engine)
    equal(inspector.get_schema_names(), ["dictionary", "history", "public"], "schemas")
    views = inspector.get_view_names()
    assert {"attainment", "agreements", "outages", "gaps"} <= set(views), views
    assert "attainment" in inspector.get_table_names(schema="history")
    columns = inspector.get_columns("outages")
    equal(
        [(column["name"], str(column["type"]), column["nullable"]) for column in columns[:4]],
        [
            ("service", "TEXT", False),
            ("started_at", "TIMESTAMP", False),
            ("ended_at", "TIMESTAMP", True),
            ("duration_us", "BIGINT", True),
        ],
        "columns",
    )
    equal(columns[3]["comment"], "length in microseconds of real time; null while it lasts", "a comment")
    for nothing in [inspector.get_indexes, inspector.get_foreign_keys, inspector.get_unique_constraints]:
        equal(nothing("attainment"), [], nothing.__name__)
    attainment = sqlalchemy.Table("attainment", sqlalchemy.MetaData(), autoload_with=engine)
    total = sqlalchemy.select(sqlalchemy.func.count()).select_from(attainment)
    with engine.connect() as connection:
        counted = sum(int(line.split(",")[1]) for line in EXPECTED.splitlines()[1:])
        equal(connection.execute(total).scalar_one(), counted, "a reflected table")


for check in [questions, values, settings, savepoints, refusals, without_a_password, without_end, cancellation, reflection]:
    check()
    print(f"{check.__name__}: as expected")
