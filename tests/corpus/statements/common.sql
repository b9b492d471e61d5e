WITH w AS (SELECT service, sum(bad_us) AS bad FROM measures GROUP BY service) SELECT * FROM w x, w y WHERE x.service <> y.service
