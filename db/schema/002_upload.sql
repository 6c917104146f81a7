-- What a hub's listing calls the content of a plain file: a hub over HTTP names it by git's hash only,
-- and the local file may be gone by then.

CREATE TABLE git_blob (
	sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
	blob_id TEXT NOT NULL CHECK (length(blob_id) = 40) -- in hex
) STRICT, WITHOUT ROWID;
