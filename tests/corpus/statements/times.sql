SELECT date_trunc('day', time) AS day, to_char(time, '%Y'), interval '1 month' + time FROM events WHERE date = '2026-01-10'
