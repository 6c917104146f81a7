-- Every statement of the store, by name. Embedded at build, prepared on first use. Lines that begin
-- with two dashes are for readers. Parameters are explained where their order is not plain.

-- ---- transactions

-- name: BEGIN_WRITE
-- IMMEDIATE: two writers wait for each other here, not in the middle.
BEGIN IMMEDIATE

-- name: BEGIN_READ
BEGIN

-- name: COMMIT
COMMIT

-- name: ROLLBACK
ROLLBACK

-- ---- runs

-- name: RUN_BEGIN
INSERT INTO run (started_ms, pid, host, name, config) VALUES (?1, ?2, ?3, ?4, ?5)

-- name: RUN_TOTALS
UPDATE run SET points = ?2, added = ?3, changed = ?4, duplicates = ?5, illegal = ?6 WHERE id = ?1

-- name: REFUSAL_PUT
-- ?1 run, ?2 cause, ?3 message, ?4 points, ?5 label
INSERT INTO refusal (run_id, cause, message, points, label) VALUES (?1, ?2, ?3, ?4, ?5)

-- name: REFUSALS
SELECT cause, message, points, label FROM refusal WHERE run_id = ?1 ORDER BY points DESC, label LIMIT ?2

-- name: RUN_END
UPDATE run SET ended_ms = ?2, exit_code = ?3 WHERE id = ?1

-- name: RUN_GET
-- ?1 id, or 0: the last one
SELECT id, started_ms, ended_ms, exit_code, pid, host, name, config,
	points, added, changed, duplicates, illegal, waiting
FROM run WHERE id = CASE ?1 WHEN 0 THEN (SELECT max(id) FROM run) ELSE ?1 END

-- name: NIGHTS
-- The last ?1 runs and what they did, newest first; of the last million events at most, so that a
-- store of years answers as fast as one of days.
WITH did AS MATERIALIZED (
	SELECT run_id, count(*) FILTER (WHERE event IN ('valid', 'found')) AS converted,
		count(*) FILTER (WHERE event = 'uploaded') AS uploaded,
		count(*) FILTER (WHERE event IN ('exit_retry', 'invalid_retry')) AS retried,
		count(*) FILTER (WHERE event IN ('exit_fail', 'invalid_fail')) AS failed
	FROM event
	WHERE id > (SELECT max(id) - 1000000 FROM event) AND run_id > (SELECT max(id) - ?1 FROM run)
	GROUP BY run_id)
SELECT run.id, started_ms, ended_ms, exit_code, points, converted, uploaded, retried, failed
FROM run LEFT JOIN did ON did.run_id = run.id
WHERE run.id > (SELECT max(id) - ?1 FROM run)
ORDER BY run.id DESC

-- ---- jobs: add

-- name: JOB_INSERT
-- No row changes if a job with this key (its first eight bytes) exists.
INSERT INTO job (run_id, created_ms, changed_ms, memory_bytes, output_bytes, scratch_bytes, opt,
	hybrid, point, key, model, engine, engine_version, platform, quant, params, source_kind,
	source, source_version, lora, lora_version, label, repo_id, file, file_params, repo_params, turn)
VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
	?20, ?21, ?22, ?23, ?24, ?25, ?26)
ON CONFLICT (substr(key, 1, 8)) DO NOTHING

-- name: JOB_KNOWN
SELECT id, state, run_id, memory_bytes, output_bytes, scratch_bytes, repo_id, file, label, source,
	file_params, repo_params, turn
FROM job WHERE substr(key, 1, 8) = ?1 AND key = ?2

-- name: JOB_MARK
UPDATE job SET run_id = ?2 WHERE id = ?1

-- name: JOB_REFRESH
-- What may differ under the same key: names and places outside it, and estimates.
UPDATE job SET run_id = ?2, memory_bytes = ?3, output_bytes = ?4, scratch_bytes = ?5, repo_id = ?6,
	file = ?7, label = ?8, source = ?9, model = ?10, point = ?11, file_params = ?12, repo_params = ?13,
	turn = ?14
WHERE id = ?1

-- ---- jobs: look up

-- name: JOB_GET
-- The one list of columns; the other look-ups give ids.
SELECT job.id, key, state, run_id, not_before_ms, attempts, tries, created_ms, changed_ms,
	memory_bytes, output_bytes, scratch_bytes, opt, hybrid, model, engine, engine_version,
	platform, quant, params, source_kind, source, source_version, lora, lora_version, label,
	repo.name, file, cause, message, file_params, repo_params, rungs, turn
FROM job LEFT JOIN repo ON repo.id = job.repo_id WHERE job.id = ?1

-- name: JOB_BY_KEY
SELECT id FROM job WHERE substr(key, 1, 8) = ?1 AND key = ?2

-- name: JOB_BY_PREFIX
-- ?1, ?2 first and last eight bytes that fit; ?3, ?4 the same of the whole key
SELECT id, key, label FROM job
WHERE substr(key, 1, 8) BETWEEN ?1 AND ?2 AND key BETWEEN ?3 AND ?4
ORDER BY substr(key, 1, 8) LIMIT 4

-- name: JOB_SAME_POINT
SELECT id FROM job
WHERE point = ?1 AND key <> ?2 AND model = ?3 AND engine = ?4 AND platform = ?5 AND quant = ?6
	AND hybrid = ?7 AND opt = ?8
ORDER BY id DESC LIMIT 1

-- name: JOB_CANDIDATES
-- ?1 run, ?2 now, ?3 how many, ?4 skip. Two walks of the index, merged by turn and id: those that
-- never waited stand in this order already, those whose wait is over are few and get sorted.
SELECT id, turn FROM job WHERE state = 0 AND run_id = ?1 AND not_before_ms = 0
UNION ALL
SELECT id, turn FROM job WHERE state = 0 AND run_id = ?1 AND not_before_ms BETWEEN 1 AND ?2
ORDER BY turn, id LIMIT ?3 OFFSET ?4

-- name: JOB_NEXT_WAIT
SELECT not_before_ms FROM job WHERE state = 0 AND run_id = ?1 AND not_before_ms > max(?2, 0)
ORDER BY not_before_ms LIMIT 1

-- name: SOURCES_WANTED
-- ?1 run. Repositories and commits of what is still to be converted from a hub: jobs of the run that
-- wait, and those of any run that are in work.
SELECT source, source_version FROM job WHERE state = 0 AND run_id = ?1 AND source_kind = 'hub'
UNION SELECT lora, lora_version FROM job WHERE state = 0 AND run_id = ?1 AND lora_version IS NOT NULL
UNION SELECT source, source_version FROM job WHERE state IN (1, 2) AND source_kind = 'hub'
UNION SELECT lora, lora_version FROM job WHERE state IN (1, 2) AND lora_version IS NOT NULL

-- name: SOURCES_WANTED_FAKE
-- ?1 run. Specs and versions of generated models, of the same jobs.
SELECT source, source_version FROM job WHERE state = 0 AND run_id = ?1 AND source_kind = 'fake'
UNION SELECT source, source_version FROM job WHERE state IN (1, 2) AND source_kind = 'fake'

-- name: JOB_COUNTS
SELECT state, count(*) FROM job GROUP BY state

-- name: JOB_COUNTS_RUN
SELECT id, (SELECT count(*) FROM job WHERE job.state = state.id AND job.run_id = ?1) FROM state

-- ---- jobs: walk. ?1 run (NULL: any), ?2 state, ?3 repo (NULL: any), ?4 cause (NULL: any), ?5 after id.
-- The ids are collected first where an index finds them, so that what is done to a row on the way
-- does not change the walk.

-- name: JOB_EACH
SELECT id FROM job
WHERE id > ?5 AND (?3 IS NULL OR repo_id = (SELECT id FROM repo WHERE name = ?3)) AND (?4 IS NULL OR cause = ?4)
ORDER BY id

-- name: JOB_EACH_RUN
SELECT id FROM job
WHERE state IN (SELECT id FROM state) AND run_id = ?1 AND id > ?5
	AND (?3 IS NULL OR repo_id = (SELECT id FROM repo WHERE name = ?3)) AND (?4 IS NULL OR cause = ?4)
ORDER BY id

-- name: JOB_EACH_STATE
SELECT id FROM job
WHERE state = ?2 AND (?1 IS NULL OR run_id = ?1) AND id > ?5
	AND (?3 IS NULL OR repo_id = (SELECT id FROM repo WHERE name = ?3)) AND (?4 IS NULL OR cause = ?4)
ORDER BY id

-- name: JOB_EACH_REPO
-- ?2 -1: any state
SELECT id FROM job
WHERE repo_id = (SELECT id FROM repo WHERE name = ?3) AND (?2 < 0 OR state = ?2)
	AND (?1 IS NULL OR run_id = ?1) AND id > ?5 AND (?4 IS NULL OR cause = ?4)
ORDER BY id

-- ---- jobs: move

-- name: JOB_MOVE
-- ?1 id, ?2 from, ?3 to, ?4 now; ?5 keep the attempts (1) or forget them (0), ?6 change of attempts,
-- ?7 change of tries, ?11 rungs (NULL: as they are). No row changes if another process was first.
UPDATE job SET state = ?3, changed_ms = ?4, attempts = max(attempts * ?5 + ?6, 0),
	tries = tries + ?7, not_before_ms = ?8, cause = ?9, message = ?10, rungs = coalesce(?11, rungs)
WHERE id = ?1 AND state = ?2

-- name: JOB_WAKE
UPDATE job SET not_before_ms = 0 WHERE state = 0 AND run_id = ?1 AND not_before_ms > 0

-- name: JOB_STATE
SELECT state FROM job WHERE id = ?1

-- name: EVENT_INSERT
INSERT INTO event (job_id, at_ms, run_id, event, from_state, to_state, cause, message)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: EVENTS
-- The last ?2 of them, newest first.
SELECT event.id, job_id, at_ms, run_id, event, source.name, target.name, cause, message
FROM event JOIN state AS source ON source.id = from_state JOIN state AS target ON target.id = to_state
WHERE job_id = ?1 ORDER BY event.id DESC LIMIT ?2

-- ---- attempts

-- name: ATTEMPT_BEGIN
INSERT INTO attempt (job_id, number, run_id, started_ms, rungs)
VALUES (?1, ?2, ?3, ?4, coalesce((SELECT rungs FROM job WHERE id = ?1), ''))
ON CONFLICT (job_id, number) DO NOTHING

-- name: ATTEMPT_PID
UPDATE attempt SET pid = ?2, pid_start = ?3 WHERE id = ?1

-- name: ATTEMPT_PROGRESS
UPDATE attempt SET stage = ?2, unit = ?3, done = ?4, total = ?5 WHERE id = ?1

-- name: ATTEMPT_END
-- ?3 verb, ?11 stage, ?12 unit: NULL keeps what is there. With ?11 NULL the last progress stays as well.
-- An attempt of an earlier run may have begun on a clock that was ahead.
UPDATE attempt SET ended_ms = max(?2, started_ms), verb = coalesce(?3, verb), exit_code = ?4, signal = ?5, cause = ?6,
	message = ?7, peak_rss_bytes = ?8, user_ms = ?9, system_ms = ?10, stage = coalesce(?11, stage),
	unit = coalesce(?12, unit), done = iif(?11 IS NULL, done, ?13),
	total = iif(?11 IS NULL, total, ?14), evidence_from = ?15, evidence = ?16
WHERE id = ?1

-- name: ATTEMPT_USED
UPDATE attempt SET memory_bytes = ?2, memory_by = ?3, limit_bytes = ?4, scratch_bytes = ?5, output_bytes = ?6,
	paused_ms = iif(?7 < 0, NULL, ?7)
WHERE id = ?1

-- name: ATTEMPTS
SELECT id, job_id, number, run_id, started_ms, ended_ms, verb, pid, pid_start, exit_code, signal,
	peak_rss_bytes, user_ms, system_ms, done, total, stage, unit, cause, message, memory_bytes,
	memory_by, limit_bytes, scratch_bytes, output_bytes, evidence_from, evidence, rungs
FROM attempt WHERE job_id = ?1 ORDER BY number DESC LIMIT ?2

-- name: ATTEMPTS_LEFT
-- Begun and never ended, of jobs that are in nobody's work (state running or validating).
SELECT attempt.id, attempt.job_id, attempt.number, job.key
FROM attempt INDEXED BY attempt_open JOIN job ON job.id = attempt.job_id
WHERE attempt.ended_ms IS NULL AND job.state NOT IN (1, 2) ORDER BY attempt.id

-- name: DURATION
-- The longest of the last five good attempts at jobs of one model: ?1, ?2 the range of its points, ?3
-- its name, ?4 engine, ?5 quant (NULL: any). NULL: none. Where nobody knows how long it was paused, it
-- tells nothing.
SELECT max(took) FROM (
	SELECT attempt.ended_ms - attempt.started_ms - attempt.paused_ms AS took
	FROM job JOIN attempt ON attempt.job_id = job.id
	WHERE job.point BETWEEN ?1 AND ?2 AND job.model = ?3 AND job.engine = ?4
		AND (?5 IS NULL OR job.quant = ?5) AND attempt.cause = ''
		AND attempt.ended_ms > attempt.started_ms + attempt.paused_ms
	ORDER BY attempt.id DESC LIMIT 5)

-- name: METRIC_ATTEMPTS
SELECT cause, count(*), sum(ended_ms - started_ms), sum(user_ms + system_ms)
FROM attempt WHERE ended_ms IS NOT NULL GROUP BY cause ORDER BY cause

-- name: METRIC_FAILED
-- ?1 run
SELECT cause, count(*) FROM job WHERE state = 6 AND run_id = ?1 GROUP BY cause ORDER BY cause

-- name: METRIC_BYTES
SELECT coalesce((SELECT sum(size_bytes) FROM artifact), 0),
	coalesce((SELECT sum(size_bytes) FROM upload WHERE state = 'done'), 0),
	coalesce((SELECT max(ended_ms) FROM run WHERE exit_code = 0), 0)

-- ---- artifacts

-- name: ARTIFACT_PUT
INSERT INTO artifact (job_id, name, size_bytes, mtime_ns, sha256, facts, created_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (job_id, name) DO UPDATE SET size_bytes = excluded.size_bytes,
	mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256, facts = excluded.facts,
	created_ms = excluded.created_ms, dropped_ms = NULL

-- name: ARTIFACTS
SELECT id, job_id, name, size_bytes, mtime_ns, sha256, facts, created_ms, dropped_ms
FROM artifact WHERE job_id = ?1 ORDER BY name LIMIT ?2

-- name: ARTIFACTS_CONFIRMED
-- Files of done jobs that the hub ?1 was seen to have in repository ?2, that are still here and that no
-- measurement waits for.
SELECT artifact.id, artifact.job_id, job.key, artifact.name, artifact.size_bytes
FROM job JOIN artifact ON artifact.job_id = job.id
WHERE job.repo_id = (SELECT id FROM repo WHERE name = ?2) AND job.state = 5 AND artifact.dropped_ms IS NULL
	AND EXISTS (SELECT 1 FROM upload WHERE upload.job_id = job.id AND upload.sha256 = artifact.sha256
		AND upload.state = 'done' AND upload.hub = ?1 AND upload.repo = ?2)
	AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.job_id = job.id)
LIMIT ?3

-- name: ARTIFACT_MAY_LEAVE
-- Of done job ?1 a file that a hub has and that is still here, with nothing that keeps it.
SELECT 1 FROM artifact
WHERE job_id = ?1 AND dropped_ms IS NULL AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.job_id = ?1)
	AND EXISTS (SELECT 1 FROM upload WHERE upload.job_id = ?1 AND upload.sha256 = artifact.sha256
		AND upload.state = 'done')
LIMIT 1

-- name: ARTIFACT_DROP
UPDATE artifact SET dropped_ms = ?2 WHERE id = ?1

-- name: ARTIFACTS_LEFT
SELECT count(*) FROM artifact WHERE job_id = ?1 AND dropped_ms IS NULL

-- name: ARTIFACTS_CLEAR
DELETE FROM artifact WHERE job_id = ?1

-- ---- uploads

-- name: UPLOAD_PUT
INSERT INTO upload (job_id, hub, repo, path, sha256, size_bytes, state, commit_id, message, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (hub, repo, path) DO UPDATE SET job_id = excluded.job_id, sha256 = excluded.sha256,
	size_bytes = excluded.size_bytes, state = excluded.state, commit_id = excluded.commit_id,
	message = excluded.message,
	changed_ms = iif(sha256 = excluded.sha256 AND state = excluded.state
		AND commit_id = excluded.commit_id, changed_ms, excluded.changed_ms)

-- name: UPLOADS
SELECT id, job_id, hub, repo, path, sha256, size_bytes, state, commit_id, message, changed_ms
FROM upload WHERE hub = ?1 AND repo = ?2 ORDER BY path

-- name: UPLOADS_OF_JOB
SELECT id, job_id, hub, repo, path, sha256, size_bytes, state, commit_id, message, changed_ms
FROM upload WHERE job_id = ?1 ORDER BY path LIMIT ?2

-- name: BLOB_GET
SELECT blob_id FROM git_blob WHERE sha256 = ?1

-- name: BLOB_PUT
INSERT INTO git_blob (sha256, blob_id) VALUES (?1, ?2)
ON CONFLICT (sha256) DO UPDATE SET blob_id = excluded.blob_id

-- name: PART_PUT
INSERT INTO upload_part (sha256, upload, chunk_bytes, number, etag) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (sha256, upload, number) DO UPDATE SET chunk_bytes = excluded.chunk_bytes, etag = excluded.etag

-- name: PART_GET
SELECT etag FROM upload_part WHERE sha256 = ?1 AND upload = ?2 AND number = ?4 AND chunk_bytes = ?3

-- name: PARTS_CLEAR
DELETE FROM upload_part WHERE sha256 = ?1

-- name: REPOS_READY
-- What is held is not ready to be published.
SELECT name FROM repo
WHERE EXISTS (SELECT 1 FROM job WHERE repo_id = repo.id AND state IN (3, 4)
	AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.job_id = job.id AND hold.reason <> 'kept'))
ORDER BY name

-- name: REPO_PENDING
-- A job of run ?1 for repository ?2 that is pending, running or validating.
SELECT 1 FROM job
WHERE repo_id = (SELECT id FROM repo WHERE name = ?2) AND state IN (0, 1, 2) AND run_id = ?1
LIMIT 1

-- name: REPO_ID
SELECT id FROM repo WHERE name = ?1

-- name: REPO_INSERT
INSERT INTO repo (name) VALUES (?1)

-- ---- what was measured

-- name: MEASURED
-- ?1-?10 the class, ?11 weights. What was seen with the same weights, and over all sizes.
SELECT coalesce(sum(samples) FILTER (WHERE weights = ?11), 0),
	coalesce(max(memory_min_bytes) FILTER (WHERE weights = ?11), 0),
	coalesce(max(memory_max_bytes) FILTER (WHERE weights = ?11), 0),
	coalesce(max(scratch_max_bytes) FILTER (WHERE weights = ?11), 0),
	coalesce(max(output_max_bytes) FILTER (WHERE weights = ?11), 0),
	coalesce(max(ms_sum) FILTER (WHERE weights = ?11), 0),
	coalesce(max(ms_min) FILTER (WHERE weights = ?11), 0),
	coalesce(max(ms_max) FILTER (WHERE weights = ?11), 0),
	coalesce(max(more_than_bytes) FILTER (WHERE weights <= ?11 AND samples_since < 3), 0),
	coalesce(sum(samples), 0),
	coalesce(max(memory_max_bytes) FILTER (WHERE weights <= ?11), 0),
	coalesce(max(weights) FILTER (WHERE samples > 0), 0),
	coalesce(min(1.0 * memory_min_bytes / formula_bytes) FILTER (WHERE samples > 0 AND formula_bytes > 0), 0),
	coalesce(max(1.0 * memory_max_bytes / formula_bytes) FILTER (WHERE samples > 0 AND formula_bytes > 0), 0),
	coalesce(1.0 * sum(ms_sum) / nullif(sum(samples * weights), 0), 0),
	coalesce(min(1.0 * ms_min / weights) FILTER (WHERE samples > 0 AND weights > 0), 0),
	coalesce(max(1.0 * ms_max / weights) FILTER (WHERE samples > 0 AND weights > 0), 0)
FROM measured
WHERE engine = ?1 AND engine_version = ?2 AND platform = ?3 AND quant = ?4 AND hybrid = ?5 AND opt = ?6
	AND params = ?7 AND threads = ?8 AND lora = ?9 AND architecture = ?10

-- name: MEASURED_ADD
-- ?1-?10 the class, ?11 weights; ?12 memory, ?13 formula, ?14 scratch, ?15 output, ?16 ms, ?17 now
INSERT INTO measured (engine, engine_version, platform, quant, hybrid, opt, params, threads, lora, architecture,
	weights, samples, memory_min_bytes, memory_max_bytes, formula_bytes, scratch_max_bytes,
	output_max_bytes, ms_sum, ms_min, ms_max, samples_since, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, ?12, ?13, ?14, ?15, ?16, ?16, ?16, 1, ?17)
ON CONFLICT (engine, engine_version, platform, quant, hybrid, opt, params, threads, lora, architecture, weights)
DO UPDATE SET samples = samples + 1,
	memory_min_bytes = iif(samples = 0, ?12, min(memory_min_bytes, ?12)),
	memory_max_bytes = max(memory_max_bytes, ?12), formula_bytes = ?13,
	scratch_max_bytes = max(scratch_max_bytes, ?14), output_max_bytes = max(output_max_bytes, ?15),
	ms_sum = ms_sum + ?16, ms_min = iif(samples = 0, ?16, min(ms_min, ?16)), ms_max = max(ms_max, ?16),
	samples_since = samples_since + 1, changed_ms = ?17

-- name: MEASURED_MORE
-- An attempt was ended for want of memory: it needs more than ?12. ?13 formula, ?14 now
INSERT INTO measured (engine, engine_version, platform, quant, hybrid, opt, params, threads, lora, architecture,
	weights, formula_bytes, more_than_bytes, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?13, ?12, ?14)
ON CONFLICT (engine, engine_version, platform, quant, hybrid, opt, params, threads, lora, architecture, weights)
DO UPDATE SET more_than_bytes = iif(samples_since < 3, max(more_than_bytes, ?12), ?12),
	samples_since = 0, changed_ms = ?14

-- ---- the time line of a run

-- name: SAMPLE_ADD
INSERT INTO sample (run_id, number, at_ms, memory_bytes, claimed_bytes, available_bytes, pressure,
	disk_free_bytes, cache_free_bytes, running, slots, received_bytes, sent_bytes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)

-- name: SAMPLES_THIN
DELETE FROM sample WHERE run_id = ?1 AND number % ?2 <> 0

-- name: SAMPLES
SELECT at_ms, memory_bytes, claimed_bytes, available_bytes, pressure, disk_free_bytes, cache_free_bytes,
	running, slots, received_bytes, sent_bytes
FROM sample WHERE run_id = ?1 ORDER BY number LIMIT ?2

-- name: RUN_WAITING
UPDATE run SET waiting = ?2 WHERE id = ?1

-- ---- cache of file hashes, and names with values

-- name: HASH_GET
SELECT sha256 FROM file_hash
WHERE path = ?1 AND size_bytes = ?2 AND mtime_ns = ?3 AND ctime_ns = ?4 AND inode = ?5

-- name: HASH_PUT
INSERT INTO file_hash (path, size_bytes, mtime_ns, ctime_ns, inode, sha256)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
	ctime_ns = excluded.ctime_ns, inode = excluded.inode, sha256 = excluded.sha256

-- name: META_GET
SELECT value FROM meta WHERE name = ?1

-- name: META_SET
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- ---- measurements where a file runs

-- name: MEASURE_BEGIN
INSERT INTO measurement (job_id, run_id, stage, settings, kind, started_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)

-- name: MEASURE_END
-- No row changes if it has ended.
UPDATE measurement SET ended_ms = max(?2, started_ms), state = ?3, message = ?4, host = ?5, machine = ?6,
	warnings = ?7, result = ?8
WHERE id = ?1 AND ended_ms IS NULL

-- name: MEASURE_FORGET
-- It was stopped on request: as if it had never begun.
DELETE FROM measurement WHERE id = ?1 AND ended_ms IS NULL

-- name: MEASURE_LOST
UPDATE measurement SET ended_ms = max(?1, started_ms), state = 'interrupted',
	message = 'quern was killed, and the measurement with it'
WHERE ended_ms IS NULL AND run_id IS NOT NULL

-- name: MEASURE_SETTLED
-- Of job ?1 in stage ?2 with settings ?3: when it was measured last (0: never), and how often since then it
-- began without an end.
SELECT coalesce(max(started_ms) FILTER (WHERE state = 'done'), 0), count(*) FILTER (WHERE state = 'interrupted'
	AND id > coalesce((SELECT max(id) FROM measurement AS good WHERE good.job_id = ?1 AND good.stage = ?2
		AND good.settings = ?3 AND good.state IN ('done', 'failed')), 0))
FROM measurement WHERE job_id = ?1 AND stage = ?2 AND settings = ?3

-- name: MEASURE_FAILURES
-- Of job ?1 in stage ?2 with settings ?3, since it was measured last.
SELECT count(*) FROM measurement WHERE job_id = ?1 AND stage = ?2 AND settings = ?3 AND state = 'failed'
	AND id > coalesce((SELECT max(id) FROM measurement AS good WHERE good.job_id = ?1 AND good.stage = ?2
		AND good.settings = ?3 AND good.state = 'done'), 0)

-- name: MEASURES_OF_JOB
SELECT id, job_id, run_id, stage, settings, kind, started_ms, ended_ms, state, message, host, machine, warnings, result
FROM measurement WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2

-- name: MEASURES_LAST
-- The last good one of each stage of job ?1.
SELECT id, job_id, run_id, stage, settings, kind, started_ms, ended_ms, state, message, host, machine, warnings, result
FROM measurement WHERE id IN (SELECT max(id) FROM measurement WHERE job_id = ?1 AND state = 'done' GROUP BY stage)
ORDER BY stage LIMIT ?2

-- name: MEASURES_OF_RUN
SELECT id, job_id, run_id, stage, settings, kind, started_ms, ended_ms, state, message, host, machine, warnings, result
FROM measurement WHERE run_id = ?1 ORDER BY id LIMIT ?2

-- name: MEASURE_BEFORE
-- The last good one before ?1 of the same point of the matrix (as JOB_SAME_POINT), in the same stage and on
-- the same host.
SELECT m.id, m.job_id, m.run_id, m.stage, m.settings, m.kind, m.started_ms, m.ended_ms, m.state, m.message,
	m.host, m.machine, m.warnings, m.result
FROM measurement AS now JOIN job AS mine ON mine.id = now.job_id
	JOIN job AS other ON other.point = mine.point AND other.model = mine.model AND other.engine = mine.engine
		AND other.platform = mine.platform AND other.quant = mine.quant AND other.hybrid = mine.hybrid
		AND other.opt = mine.opt
	JOIN measurement AS m ON m.job_id = other.id AND m.stage = now.stage
WHERE now.id = ?1 AND m.id < ?1 AND m.state = 'done' AND m.host = ?2
ORDER BY m.id DESC LIMIT 1

-- name: HOLD_PUT
INSERT INTO hold (job_id, stage, reason, since_ms) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (job_id, stage) DO UPDATE SET reason = excluded.reason,
	since_ms = iif(reason = excluded.reason, since_ms, excluded.since_ms)

-- name: HOLD_CLEAR
DELETE FROM hold WHERE job_id = ?1 AND stage = ?2

-- name: HOLD_KEEP_WAITING
-- They are published now, and what waits for its measurement stays here until then.
UPDATE hold SET reason = 'kept' WHERE reason = 'waiting'

-- name: HOLD_CLEAR_ALL
DELETE FROM hold WHERE reason <> 'kept'

-- name: HOLDS_OF_JOB
SELECT job_id, stage, reason, since_ms FROM hold WHERE job_id = ?1 ORDER BY stage LIMIT ?2

-- name: JOB_IS_HELD
SELECT 1 FROM hold WHERE job_id = ?1 AND reason <> 'kept' LIMIT 1

-- name: HOLDS
-- What keeps any job from being published; ?1: and what keeps its files on this disk only.
SELECT job_id, stage, reason, since_ms FROM hold WHERE ?1 OR reason <> 'kept' ORDER BY job_id, stage LIMIT ?2
