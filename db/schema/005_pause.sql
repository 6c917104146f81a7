-- Of an attempt's time, what its workers stood still for `quern pause --now`. NULL: a worker that was taken
-- over, of which nobody knows.
ALTER TABLE attempt ADD COLUMN paused_ms INTEGER DEFAULT 0;
