SELECT regexp_replace(payload_text, '(a*)*b', 'x'), '''' || substr(reason, -1, 2147483647) FROM dead_letters
