-- What a night needs to know of itself.

-- Causes: what an attempt's cause was read from, and what the ladder of retries changed for it.
ALTER TABLE attempt ADD COLUMN evidence_from TEXT NOT NULL DEFAULT ''; -- 'log', 'signal', 'exit', 'limit', ...
ALTER TABLE attempt ADD COLUMN evidence TEXT NOT NULL DEFAULT '';      -- the line, the signal, the error
ALTER TABLE attempt ADD COLUMN rungs TEXT NOT NULL DEFAULT '';         -- 'alone, memory x2'
ALTER TABLE job ADD COLUMN rungs TEXT NOT NULL DEFAULT '';             -- of its next attempt

-- Control: what starts first. 0 everywhere in a matrix without priorities.
ALTER TABLE job ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
DROP INDEX job_by_state;
CREATE INDEX job_by_state ON job (state, run_id, not_before_ms, turn);

DROP VIEW v_failures;
CREATE VIEW v_failures AS
SELECT job.id, job.label, job.cause, job.message, job.attempts, job.tries, job.run_id,
	datetime(job.changed_ms / 1000, 'unixepoch') AS failed,
	attempt.number AS attempt, attempt.exit_code, attempt.signal, attempt.stage,
	attempt.peak_rss_bytes / 1048576 AS peak_mib, attempt.evidence_from, attempt.evidence, attempt.rungs,
	'jobs/' || lower(hex(job.key)) || '/' || attempt.number || '/log' AS log
FROM job LEFT JOIN attempt ON attempt.job_id = job.id
	AND attempt.number = (SELECT max(number) FROM attempt WHERE attempt.job_id = job.id)
WHERE job.state = 6;
