SELECT sum(value), median(value) FROM generate_series(1, 100) WHERE value % 7 = 0
