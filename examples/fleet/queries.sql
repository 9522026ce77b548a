-- Questions to the results of check_names.py: duckdb -c ".read queries.sql", beside results/.

CREATE VIEW result AS SELECT * FROM 'results/*.parquet';

-- How do all names stand?
SELECT status, severity, count(*) AS names FROM result GROUP BY ALL ORDER BY names DESC;

-- What needs attention, the worst first?
SELECT domain, status, reason FROM result WHERE severity <> 'ok'
ORDER BY severity = 'critical' DESC, domain LIMIT 100;

-- Which registered domains have the most names without a record that authorises?
SELECT array_to_string(string_split(domain, '.')[-2:], '.') AS parent, count(*) AS names
FROM result WHERE severity = 'critical' GROUP BY parent ORDER BY names DESC, parent LIMIT 20;

-- What expires within ninety days?
SELECT domain, to_timestamp(expires) AS expires FROM result
WHERE expires < epoch(now()) + 90 * 86400 ORDER BY expires, domain;
