-- Points that a run could not even begin, by why: they have no job, and the report names them.
CREATE TABLE refusal (
	run_id INTEGER NOT NULL REFERENCES run(id),
	cause TEXT NOT NULL,          -- as of jobs
	message TEXT NOT NULL,
	points INTEGER NOT NULL CHECK (points > 0),
	label TEXT NOT NULL,          -- of the first of them
	PRIMARY KEY (run_id, cause, message)
) STRICT, WITHOUT ROWID;
