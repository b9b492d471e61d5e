SELECT a.agreement, count(*) AS n FROM attainment a JOIN history.corrections c USING (agreement) GROUP BY a.agreement HAVING count(*) > 0
