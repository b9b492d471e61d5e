SELECT agreement, verdict FROM attainment WHERE window_start >= '2026-01-01' ORDER BY 1, 2 LIMIT 5
