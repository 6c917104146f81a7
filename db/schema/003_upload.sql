-- What an upload over HTTP has to remember between two lives.

-- A hub over HTTP lists plain files by git's hash of their content only, and the local file may be gone by
-- then.
CREATE TABLE git_blob (
	sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
	blob_id TEXT NOT NULL CHECK (length(blob_id) = 40) -- in hex
) STRICT, WITHOUT ROWID;

-- Parts of multipart uploads that a server has stored, until the object is complete. A server that goes on
-- with the same upload gets only the others.
CREATE TABLE upload_part (
	sha256 BLOB NOT NULL CHECK (length(sha256) = 32), -- of the object
	upload TEXT NOT NULL,         -- the server's name of the upload: an address without its signature
	chunk_bytes INTEGER NOT NULL, -- size of each part but the last
	number INTEGER NOT NULL,      -- from 0
	etag TEXT NOT NULL,           -- the server's name of the stored part
	PRIMARY KEY (sha256, upload, number)
) STRICT, WITHOUT ROWID;
