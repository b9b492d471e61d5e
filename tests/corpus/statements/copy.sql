COPY (SELECT * FROM attainment) TO '/tmp/out.csv' STORED AS CSV
