-- The first schema. docs/schema.md explains it to people who write their own SQL. A file here is
-- never edited after a release: a change is a new file with the next number.
-- *_ms: milliseconds since 1970-01-01 UTC. *_ns: nanoseconds. *_bytes: bytes.

CREATE TABLE state (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	is_end INTEGER NOT NULL CHECK (is_end IN (0, 1)) -- nothing happens by itself
) STRICT;

INSERT INTO state (id, name, is_end) VALUES
	(0, 'pending', 0), (1, 'running', 0), (2, 'validating', 0), (3, 'ready', 0),
	(4, 'uploading', 0), (5, 'done', 1), (6, 'failed', 1), (7, 'cancelled', 1);

CREATE TABLE meta (
	name TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
	id INTEGER PRIMARY KEY,
	started_ms INTEGER NOT NULL,
	ended_ms INTEGER,             -- NULL: still going, or died
	exit_code INTEGER,            -- NULL until ended
	pid INTEGER NOT NULL,
	host TEXT NOT NULL,
	name TEXT NOT NULL,           -- of the matrix
	config TEXT NOT NULL,         -- path of jobs.yaml
	points INTEGER NOT NULL DEFAULT 0,
	added INTEGER NOT NULL DEFAULT 0,
	changed INTEGER NOT NULL DEFAULT 0,
	duplicates INTEGER NOT NULL DEFAULT 0,
	illegal INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE repo (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE     -- namespace/name on the hub
) STRICT;

CREATE TABLE job (
	id INTEGER PRIMARY KEY,
	state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 7), -- state.id
	run_id INTEGER REFERENCES run(id),         -- last run whose matrix had this job
	repo_id INTEGER REFERENCES repo(id),       -- where it goes; NULL without upload
	not_before_ms INTEGER NOT NULL DEFAULT 0,  -- time of the next try; 0: now
	attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0), -- counted against retry.attempts
	tries INTEGER NOT NULL DEFAULT 0,          -- all attempts ever
	created_ms INTEGER NOT NULL,
	changed_ms INTEGER NOT NULL,               -- of the state
	memory_bytes INTEGER NOT NULL,             -- estimates
	output_bytes INTEGER NOT NULL,
	scratch_bytes INTEGER NOT NULL,
	opt INTEGER NOT NULL,
	hybrid REAL NOT NULL,
	point INTEGER NOT NULL,                    -- hashes of model, of engine to quant; hybrid, opt
	key BLOB NOT NULL CHECK (length(key) = 32), -- SHA-256 of all that can change the output
	model TEXT NOT NULL,
	engine TEXT NOT NULL,
	engine_version TEXT NOT NULL,
	platform TEXT NOT NULL,                    -- '' when the engine has none
	quant TEXT NOT NULL,
	params TEXT NOT NULL,                      -- canonical JSON: `with` of jobs.yaml
	source_kind TEXT NOT NULL,                 -- 'path', 'hub' or 'fake'
	source TEXT NOT NULL,
	source_version TEXT NOT NULL,
	lora TEXT,
	lora_version TEXT,
	label TEXT NOT NULL,
	file TEXT NOT NULL,
	cause TEXT NOT NULL DEFAULT '',            -- of the last failure
	message TEXT NOT NULL DEFAULT ''
) STRICT;

-- Keys are random, so this index is touched all over by every insert. With eight bytes of the key
-- in it a million jobs need 24 MB and stay in the page cache; with all 32 it would be 60. A million
-- keys share their first eight bytes with a probability of 3 in 10^8; that is refused, not mixed up.
CREATE UNIQUE INDEX job_by_key ON job (substr(key, 1, 8));
-- What to start next, how many of each state, until when to wait. New jobs go to one place in it.
CREATE INDEX job_by_state ON job (state, run_id, not_before_ms);
-- The same point of the matrix under another key. Points of one model stand together.
CREATE INDEX job_by_point ON job (point);
-- What of a repository waits, is ready, is done.
CREATE INDEX job_by_repo ON job (repo_id, state) WHERE repo_id IS NOT NULL;

CREATE TABLE attempt (
	id INTEGER PRIMARY KEY,
	job_id INTEGER NOT NULL REFERENCES job(id),
	number INTEGER NOT NULL,      -- its folder is jobs/KEY/NUMBER
	run_id INTEGER REFERENCES run(id),
	started_ms INTEGER NOT NULL,
	ended_ms INTEGER,             -- NULL: going on, or its run died
	verb TEXT NOT NULL DEFAULT 'convert' CHECK (verb IN ('convert', 'validate')),
	pid INTEGER NOT NULL DEFAULT 0,
	pid_start INTEGER NOT NULL DEFAULT 0, -- clock ticks since boot
	exit_code INTEGER,            -- NULL until known
	signal INTEGER NOT NULL DEFAULT 0,
	peak_rss_bytes INTEGER NOT NULL DEFAULT 0,
	user_ms INTEGER NOT NULL DEFAULT 0,
	system_ms INTEGER NOT NULL DEFAULT 0,
	done INTEGER NOT NULL DEFAULT 0,  -- last progress, in `unit`
	total INTEGER NOT NULL DEFAULT 0,
	stage TEXT NOT NULL DEFAULT '',
	unit TEXT NOT NULL DEFAULT '',
	cause TEXT NOT NULL DEFAULT '',
	message TEXT NOT NULL DEFAULT '',
	UNIQUE (job_id, number)
) STRICT;

-- Order is by id: the clock may go backwards.
CREATE TABLE event (
	id INTEGER PRIMARY KEY,
	job_id INTEGER NOT NULL REFERENCES job(id),
	at_ms INTEGER NOT NULL,
	run_id INTEGER REFERENCES run(id), -- NULL: a command did it
	event TEXT NOT NULL CHECK (event <> ''),
	from_state INTEGER NOT NULL CHECK (from_state BETWEEN 0 AND 7),
	to_state INTEGER NOT NULL CHECK (to_state BETWEEN 0 AND 7),
	cause TEXT NOT NULL,
	message TEXT NOT NULL
) STRICT;

CREATE INDEX event_by_job ON event (job_id);

CREATE TABLE artifact (
	id INTEGER PRIMARY KEY,
	job_id INTEGER NOT NULL REFERENCES job(id),
	name TEXT NOT NULL,           -- file name inside artifacts/KEY
	size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
	mtime_ns INTEGER NOT NULL,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	facts TEXT NOT NULL,          -- JSON object
	created_ms INTEGER NOT NULL,
	UNIQUE (job_id, name)
) STRICT;

CREATE TABLE upload (
	id INTEGER PRIMARY KEY,
	job_id INTEGER REFERENCES job(id), -- NULL: a file of the repository itself
	hub TEXT NOT NULL,
	repo TEXT NOT NULL,
	path TEXT NOT NULL,           -- inside the repository
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
	size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
	state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'done', 'failed')),
	commit_id TEXT NOT NULL,      -- '' until committed
	message TEXT NOT NULL,
	changed_ms INTEGER NOT NULL,
	UNIQUE (hub, repo, path)
) STRICT;

CREATE INDEX upload_by_job ON upload (job_id);

-- Hashes of local files, so that a plan does not read models again.
CREATE TABLE file_hash (
	path TEXT PRIMARY KEY,
	size_bytes INTEGER NOT NULL,
	mtime_ns INTEGER NOT NULL,
	ctime_ns INTEGER NOT NULL,
	inode INTEGER NOT NULL,
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32)
) STRICT, WITHOUT ROWID;

CREATE VIEW v_matrix AS
SELECT job.id, lower(hex(job.key)) AS key, job.label, state.name AS state,
	job.model, job.engine, job.engine_version, job.platform, job.quant, job.hybrid, job.opt,
	job.params, job.source_kind, job.source, job.source_version, job.lora, job.lora_version,
	job.attempts, job.tries, job.run_id, job.cause, job.message,
	(SELECT count(*) FROM artifact WHERE artifact.job_id = job.id) AS files,
	(SELECT coalesce(sum(size_bytes), 0) FROM artifact WHERE artifact.job_id = job.id) AS artifact_bytes,
	job.output_bytes AS expected_bytes, job.memory_bytes, job.scratch_bytes, coalesce(repo.name, '') AS repo, job.file,
	datetime(job.created_ms / 1000, 'unixepoch') AS created,
	datetime(job.changed_ms / 1000, 'unixepoch') AS changed
FROM job JOIN state ON state.id = job.state LEFT JOIN repo ON repo.id = job.repo_id;

CREATE VIEW v_attempts AS
SELECT attempt.id, attempt.job_id, job.label, attempt.number, attempt.run_id, attempt.verb,
	datetime(attempt.started_ms / 1000, 'unixepoch') AS started,
	(attempt.ended_ms - attempt.started_ms) / 1000.0 AS seconds,
	attempt.exit_code, attempt.signal, attempt.cause, attempt.message,
	attempt.peak_rss_bytes / 1048576 AS peak_mib,
	attempt.user_ms / 1000.0 AS user_seconds, attempt.system_ms / 1000.0 AS system_seconds,
	attempt.stage, attempt.done, attempt.total, attempt.unit, attempt.pid
FROM attempt JOIN job ON job.id = attempt.job_id;

CREATE VIEW v_failures AS
SELECT job.id, job.label, job.cause, job.message, job.attempts, job.tries, job.run_id,
	datetime(job.changed_ms / 1000, 'unixepoch') AS failed,
	attempt.number AS attempt, attempt.exit_code, attempt.signal, attempt.stage,
	attempt.peak_rss_bytes / 1048576 AS peak_mib,
	'jobs/' || lower(hex(job.key)) || '/' || attempt.number || '/log' AS log
FROM job LEFT JOIN attempt ON attempt.job_id = job.id
	AND attempt.number = (SELECT max(number) FROM attempt WHERE attempt.job_id = job.id)
WHERE job.state = 6;

CREATE VIEW v_events AS
SELECT event.id, event.job_id, job.label, datetime(event.at_ms / 1000, 'unixepoch') AS at,
	event.event, source.name AS from_state, target.name AS to_state, event.cause, event.message,
	event.run_id
FROM event JOIN job ON job.id = event.job_id
	JOIN state AS source ON source.id = event.from_state
	JOIN state AS target ON target.id = event.to_state;

-- What each run did, from its events.
CREATE VIEW v_night AS
SELECT run.id AS run_id, run.name, datetime(run.started_ms / 1000, 'unixepoch') AS started,
	datetime(run.ended_ms / 1000, 'unixepoch') AS ended,
	(run.ended_ms - run.started_ms) / 1000.0 AS seconds, run.exit_code,
	run.points, run.added, run.changed, run.duplicates, run.illegal,
	count(event.id) FILTER (WHERE event.event = 'claim') AS started_attempts,
	count(event.id) FILTER (WHERE event.event IN ('valid', 'found')) AS converted,
	count(event.id) FILTER (WHERE event.event = 'uploaded') AS uploaded,
	count(event.id) FILTER (WHERE event.event IN ('exit_retry', 'invalid_retry')) AS retried,
	count(event.id) FILTER (WHERE event.event IN ('exit_fail', 'invalid_fail')) AS failed,
	run.host, run.config
FROM run LEFT JOIN event ON event.run_id = run.id
GROUP BY run.id;

CREATE VIEW v_uploads AS
SELECT upload.id, upload.hub, upload.repo, upload.path, upload.state, upload.size_bytes,
	lower(hex(upload.sha256)) AS sha256, upload.commit_id, upload.message,
	datetime(upload.changed_ms / 1000, 'unixepoch') AS changed, upload.job_id, job.label
FROM upload LEFT JOIN job ON job.id = upload.job_id;

CREATE VIEW v_slowest AS
SELECT job.id, job.label, attempt.number AS attempt,
	(attempt.ended_ms - attempt.started_ms) / 1000.0 AS seconds,
	attempt.user_ms / 1000.0 AS user_seconds, attempt.peak_rss_bytes / 1048576 AS peak_mib,
	(SELECT sum(size_bytes) FROM artifact WHERE artifact.job_id = job.id) AS artifact_bytes
FROM attempt JOIN job ON job.id = attempt.job_id
WHERE attempt.ended_ms IS NOT NULL
ORDER BY attempt.ended_ms - attempt.started_ms DESC;
