"""Reads the tables of a lake with Polars, which knows nothing of Plimsoll: of each the number of its rows, and of each
column of whole numbers or shares the sum.

In: the lake, and a file; until that is there, the tables are read again and again. Out: a line `TABLE COLUMN SUM` for each.
"""

import os
import sys
from decimal import Decimal

import polars


def sums(lake):
    found = []
    for table in sorted(os.listdir(lake)):
        if table.startswith("_"):
            continue
        rows = polars.scan_delta(os.path.join(lake, table))
        columns = [
            (name, polars.col(name).cast(polars.Int128) if of.is_integer() else polars.col(name))
            for name, of in rows.collect_schema().items()
            if of.is_integer() or of.is_decimal()
        ]
        summed = [column.sum().alias(name) for name, column in columns]
        answer = rows.select(polars.len().alias("rows"), *summed).collect().row(0, named=True)
        plain = {column: format(value, "f") if isinstance(value, Decimal) else value for column, value in answer.items()}
        found += [f"{table} {column} {value}" for column, value in plain.items()]
    return found


lake, end = sys.argv[1:]
times = 1
while not os.path.exists(end):
    sums(lake)
    times += 1
print("\n".join(sums(lake)))
print(f"read {times} times", file=sys.stderr)
