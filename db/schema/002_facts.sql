-- Who said what. A name on a hub and a card may only claim what was confirmed: facts get an origin,
-- and a job knows which parameters its names hold.

-- What a worker reported and what quern took from the source stood side by side; the licence was
-- the only fact of the source.
UPDATE artifact SET facts = json_object(
	'source', iif(json_type(facts, '$.license') IS NULL, json('{}'),
		json_object('license', json_extract(facts, '$.license'))),
	'worker', json_remove(facts, '$.license'))
WHERE json_valid(facts) AND json_type(facts) = 'object';

-- Bits of enum job_param (db/job.h). A file name of an older quern may hold any; the next run knows.
ALTER TABLE job ADD COLUMN file_params INTEGER NOT NULL DEFAULT 15;
ALTER TABLE job ADD COLUMN repo_params INTEGER NOT NULL DEFAULT 0;
