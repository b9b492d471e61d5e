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
        refused(connection, "SELECT count(*) FROM events a, events b WHERE a.id < b.id", "53000", "within 0.001 s")
        connection.execute("RESET statement_timeout")


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
            ("SET timezone = 'Europe/Berlin'", "22023", "UTC"),
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


for check in [questions, refusals, without_a_password, without_end, cancellation, reflection]:
    check()
    print(f"{check.__name__}: as expected")
