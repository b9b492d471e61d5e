SELECT regexp_replace(payload_text, ')(a*)*b', 'x') FROM dead_letters
