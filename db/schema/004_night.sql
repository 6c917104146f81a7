-- What a night needs to know beforehand, and what it leaves for the morning.

-- ---- memory, disk and time, as they were measured

-- Of the worker and all that it started, together. memory_by: 'cgroup', 'pss' or 'rss', in falling
-- order of trust; '' where nothing was measured.
ALTER TABLE attempt ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN memory_by TEXT NOT NULL DEFAULT '';
ALTER TABLE attempt ADD COLUMN limit_bytes INTEGER NOT NULL DEFAULT 0; -- above it the attempt is ended; 0: none
ALTER TABLE attempt ADD COLUMN scratch_bytes INTEGER NOT NULL DEFAULT 0; -- most in its folder beside the output
ALTER TABLE attempt ADD COLUMN output_bytes INTEGER NOT NULL DEFAULT 0;

-- One row for what is alike in all that drives memory, disk and time, so that a plan of a million
-- points asks few rows and a store of years stays small.
CREATE TABLE measured (
	id INTEGER PRIMARY KEY,
	engine TEXT NOT NULL,
	engine_version TEXT NOT NULL,
	platform TEXT NOT NULL,
	quant TEXT NOT NULL,
	hybrid REAL NOT NULL,
	opt INTEGER NOT NULL,
	params TEXT NOT NULL,         -- canonical JSON
	threads INTEGER NOT NULL,
	lora INTEGER NOT NULL CHECK (lora IN (0, 1)),
	architecture TEXT NOT NULL,
	weights INTEGER NOT NULL,     -- of the model
	samples INTEGER NOT NULL DEFAULT 0, -- attempts that ended well
	memory_min_bytes INTEGER NOT NULL DEFAULT 0,
	memory_max_bytes INTEGER NOT NULL DEFAULT 0,
	formula_bytes INTEGER NOT NULL DEFAULT 0, -- what the manifest says of the memory
	scratch_max_bytes INTEGER NOT NULL DEFAULT 0,
	output_max_bytes INTEGER NOT NULL DEFAULT 0,
	ms_sum INTEGER NOT NULL DEFAULT 0,
	ms_min INTEGER NOT NULL DEFAULT 0,
	ms_max INTEGER NOT NULL DEFAULT 0,
	more_than_bytes INTEGER NOT NULL DEFAULT 0, -- an attempt ended for want of memory at so much
	samples_since INTEGER NOT NULL DEFAULT 0, -- that ended well after it
	changed_ms INTEGER NOT NULL,
	UNIQUE (engine, engine_version, platform, quant, hybrid, opt, params, threads, lora, architecture, weights)
) STRICT;

-- A run's time line. Rows are bounded: when there are too many, every second one goes.
CREATE TABLE sample (
	run_id INTEGER NOT NULL REFERENCES run(id),
	number INTEGER NOT NULL,          -- grows with time, not without gaps
	at_ms INTEGER NOT NULL,
	memory_bytes INTEGER NOT NULL,    -- used by workers
	claimed_bytes INTEGER NOT NULL,   -- what is set aside for them
	available_bytes INTEGER NOT NULL, -- MemAvailable of the machine
	pressure INTEGER NOT NULL,        -- thousandths of the last 10 s that something waited for memory; -1: not known
	disk_free_bytes INTEGER NOT NULL, -- where the work folder is
	cache_free_bytes INTEGER,         -- where the cache of models is; NULL: the same, or not used
	running INTEGER NOT NULL,         -- slots in use
	slots INTEGER NOT NULL,
	received_bytes INTEGER NOT NULL,  -- by the machine since the run began
	sent_bytes INTEGER NOT NULL,
	PRIMARY KEY (run_id, number)
) STRICT, WITHOUT ROWID;

ALTER TABLE run ADD COLUMN waiting TEXT NOT NULL DEFAULT ''; -- why no job starts though a slot is free

-- ---- artifacts that left the disk after a confirmed upload (resources.keep: none)

ALTER TABLE artifact ADD COLUMN dropped_ms INTEGER; -- NULL: the file is there

-- ---- measurements where a file runs (measure:, quern bench)

CREATE TABLE measurement (
	id INTEGER PRIMARY KEY,
	job_id INTEGER NOT NULL REFERENCES job(id),
	run_id INTEGER REFERENCES run(id), -- NULL: quern bench
	stage TEXT NOT NULL,               -- its name in jobs.yaml
	settings TEXT NOT NULL,            -- SHA-256 in hex of place, prompts and runs
	kind TEXT NOT NULL CHECK (kind IN ('endpoint', 'serve', 'board')),
	started_ms INTEGER NOT NULL,
	ended_ms INTEGER,                  -- NULL: going on, or its process died
	state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'interrupted')),
	message TEXT NOT NULL DEFAULT '',  -- why it failed
	host TEXT NOT NULL DEFAULT '',     -- which machine; not published
	machine TEXT NOT NULL DEFAULT '',  -- what it is
	warnings INTEGER NOT NULL DEFAULT 0,
	result TEXT                        -- JSON object: docs/measuring.md; NULL unless done
) STRICT;

CREATE INDEX measurement_by_job ON measurement (job_id, stage);
CREATE INDEX measurement_by_run ON measurement (run_id);
CREATE INDEX measurement_going_on ON measurement (id) WHERE ended_ms IS NULL;

-- What keeps a ready job from being published, by the stage that does: it waits for its measurement, or the
-- measurement found what it holds for.
CREATE TABLE hold (
	job_id INTEGER NOT NULL REFERENCES job(id),
	stage TEXT NOT NULL,
	reason TEXT NOT NULL CHECK (reason <> ''), -- 'waiting', 'garbage', 'mismatch', 'regression', 'failed'
	since_ms INTEGER NOT NULL,
	PRIMARY KEY (job_id, stage)
) STRICT, WITHOUT ROWID;

-- Medians, one row for each prompt.
CREATE VIEW v_measured AS
SELECT m.id, m.job_id, job.label, m.stage, m.kind, m.machine, m.host,
	datetime(m.started_ms / 1000, 'unixepoch') AS measured, m.run_id,
	json_extract(row.value, '$.prompt') AS prompt,
	json_extract(row.value, '$.seqlen') AS seqlen,
	json_extract(row.value, '$.new_tokens') AS new_tokens,
	json_extract(row.value, '$.ttft_ms.median') AS ttft_ms,
	json_extract(row.value, '$.prompt_per_s.median') AS prompt_per_s,
	json_extract(row.value, '$.generate_per_s.median') AS generate_per_s,
	json_extract(row.value, '$.total_ms.median') AS total_ms,
	json_extract(m.result, '$.memory_bytes') AS memory_bytes,
	json_extract(m.result, '$.counted_by') AS counted_by, m.warnings
FROM measurement AS m JOIN job ON job.id = m.job_id, json_each(m.result, '$.rows') AS row
WHERE m.state = 'done';


-- ---- attempts that have not ended: as few as there are slots, in a store of a million
CREATE INDEX attempt_open ON attempt (job_id) WHERE ended_ms IS NULL;
-- ---- causes and control

-- What an attempt's cause was read from, and what the ladder of retries changed for it.
ALTER TABLE attempt ADD COLUMN evidence_from TEXT NOT NULL DEFAULT ''; -- 'log', 'signal', 'exit', 'limit', ...
ALTER TABLE attempt ADD COLUMN evidence TEXT NOT NULL DEFAULT '';      -- the line, the signal, the error
ALTER TABLE attempt ADD COLUMN rungs TEXT NOT NULL DEFAULT '';         -- 'alone, memory x2'
ALTER TABLE job ADD COLUMN rungs TEXT NOT NULL DEFAULT '';             -- of its next attempt

-- What starts first. 0 everywhere in a matrix without priorities.
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
