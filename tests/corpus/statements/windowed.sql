SELECT service, row_number() OVER (PARTITION BY service ORDER BY started_at) FROM outages
