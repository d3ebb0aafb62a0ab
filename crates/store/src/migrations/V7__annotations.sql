-- What people say about runs, names for runs that are short, and messages about their ends.

-- Written by any process; no event records it, because it changes nothing that runs. Outlives a pruned run.
CREATE TABLE annotation (
    run     TEXT PRIMARY KEY NOT NULL REFERENCES run (id),
    tags    TEXT NOT NULL CHECK (json_valid(tags)),
    note    TEXT,
    -- since when no clean-up may remove the run
    kept_at TEXT
) STRICT, WITHOUT ROWID;

-- Runs that have ended and whose end no notifier has been told yet.
CREATE TABLE notification (
    run TEXT PRIMARY KEY NOT NULL REFERENCES run (id),
    at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- resolve_run: the random end of an id, which `list` prints
CREATE INDEX run_tail ON run (substr(id, 25));

PRAGMA user_version = 7;
