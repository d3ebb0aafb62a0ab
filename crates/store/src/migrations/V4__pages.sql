-- Fewer pages per commit and per question, for chains and fan-outs of 100,000 steps.

-- A workflow may be megabytes, and whoever reads a column after it reads it as well: it goes last. A column
-- that is added needs a default.
ALTER TABLE run RENAME COLUMN spec TO old_spec;
ALTER TABLE run ADD COLUMN spec TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(spec));
UPDATE run SET spec = old_spec;
ALTER TABLE run DROP COLUMN old_spec;

-- Of a fan-out: its children, those that have succeeded or were skipped, those that have failed.
ALTER TABLE step ADD COLUMN children INTEGER;
ALTER TABLE step ADD COLUMN children_done INTEGER NOT NULL DEFAULT 0;
ALTER TABLE step ADD COLUMN children_failed INTEGER NOT NULL DEFAULT 0;
-- Work of all attempts that have ended; of a fan-out, those of its children.
ALTER TABLE step ADD COLUMN compute_ms INTEGER NOT NULL DEFAULT 0;
UPDATE step SET compute_ms =
    (SELECT coalesce(sum(attempt.compute_ms), 0) FROM attempt WHERE attempt.run = step.run AND attempt.step = step.id)
WHERE attempts > 0;
-- Of a fan-out: its children that have succeeded by attempts of their own, and the work of those.
ALTER TABLE step ADD COLUMN children_timed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE step ADD COLUMN children_timed_ms INTEGER NOT NULL DEFAULT 0;
UPDATE step SET (children, children_done, children_failed, compute_ms, children_timed, children_timed_ms) =
    (SELECT count(*), count(*) FILTER (WHERE child.status IN ('succeeded', 'skipped')),
            count(*) FILTER (WHERE child.status = 'failed'), step.compute_ms + sum(child.compute_ms),
            count(*) FILTER (WHERE child.status = 'succeeded' AND child.attempts > 0),
            coalesce(sum(child.compute_ms) FILTER (WHERE child.status = 'succeeded'), 0)
     FROM step AS child WHERE child.run = step.run AND child.parent = step.id)
WHERE (run, id) IN (SELECT run, parent FROM step WHERE parent IS NOT NULL);

-- find_reusable: to look for a `noop` costs more than to run it
DROP INDEX step_reusable;
CREATE INDEX step_reusable ON step (key) WHERE status = 'succeeded' AND key IS NOT NULL AND kind <> 'noop';
-- open_work, leases_below, leased_step, held_units: what runs now, of however many
CREATE INDEX step_running ON step (run, parent) WHERE status = 'running';
-- overview, unfinished: a run without the children of its fan-outs
CREATE INDEX step_top ON step (run, position) WHERE parent IS NULL;

-- Clustered by its key: a claim changes one page of it, not one of the table and one of an index.
CREATE TABLE new_attempt (
    run         TEXT NOT NULL,
    step        TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    fence       INTEGER NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('running', 'succeeded', 'failed', 'released', 'canceled')),
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    pid         INTEGER,
    -- why it failed or was released
    reason      TEXT,
    -- for how long it has worked; its end may have been noticed much later
    compute_ms  INTEGER,
    environment TEXT REFERENCES environment (digest),
    PRIMARY KEY (run, step, attempt),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT, WITHOUT ROWID;
INSERT INTO new_attempt (run, step, attempt, fence, status, started_at, finished_at, pid, reason, compute_ms, environment)
SELECT run, step, attempt, fence, status, started_at, finished_at, pid, reason, compute_ms, environment FROM attempt;
DROP TABLE attempt;
ALTER TABLE new_attempt RENAME TO attempt;

PRAGMA user_version = 4;
