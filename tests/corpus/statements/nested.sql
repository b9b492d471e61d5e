SELECT (SELECT max(revision) FROM clocks k WHERE k.ticket = c.ticket) FROM clocks c WHERE ticket IN ('INC1', NULL) OR EXISTS (SELECT 1)
