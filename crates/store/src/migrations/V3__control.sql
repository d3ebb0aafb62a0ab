-- Pausing, waiting, decisions, signals, schedules, resources. SQLite cannot change a CHECK, so the tables
-- whose statuses grew are made anew; foreign keys are off while this runs, and checked afterwards.

DROP VIEW runs;
DROP VIEW steps;
DROP VIEW checkpoints;
DROP VIEW outputs;
DROP VIEW log;

CREATE TABLE new_run (
    id              TEXT PRIMARY KEY NOT NULL,
    name            TEXT NOT NULL,
    workflow        TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN
        ('pending', 'running', 'interrupted', 'paused', 'canceling', 'succeeded', 'failed', 'canceled')),
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT,
    failure         TEXT CHECK (json_valid(failure)),
    pause_reason    TEXT,
    idempotency_key TEXT UNIQUE,
    spec_digest     TEXT NOT NULL,
    spec            TEXT NOT NULL CHECK (json_valid(spec)),
    -- priority, reuse and origin, as in the run's first event
    options         TEXT NOT NULL CHECK (json_valid(options)),
    -- the run whose step started this one
    parent_run      TEXT REFERENCES run (id)
) STRICT;
INSERT INTO new_run (id, name, workflow, status, created_at, started_at, finished_at, failure,
                     idempotency_key, spec_digest, spec, options)
SELECT id, name, workflow, status, created_at, started_at, finished_at, failure,
       idempotency_key, spec_digest, spec, '{}' FROM run;
DROP TABLE run;
ALTER TABLE new_run RENAME TO run;
-- submit: at most one active run of a name
CREATE UNIQUE INDEX run_active_name ON run (name)
    WHERE status IN ('pending', 'running', 'interrupted', 'paused', 'canceling');
-- resolve_run: the newest run of a name
CREATE INDEX run_name ON run (name, id);
-- previous_step: the newest earlier run of a workflow
CREATE INDEX run_workflow ON run (workflow, id);
-- children of a run
CREATE INDEX run_parent ON run (parent_run) WHERE parent_run IS NOT NULL;
-- the engine's start, and its look for new runs: those that have not ended
CREATE INDEX run_open ON run (id) WHERE status IN ('pending', 'running', 'interrupted', 'paused', 'canceling');

CREATE TABLE new_step (
    run              TEXT NOT NULL REFERENCES run (id),
    id               TEXT NOT NULL,
    position         INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN
        ('pending', 'ready', 'running', 'waiting', 'expanded', 'succeeded', 'failed', 'skipped', 'canceled')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    retries_used     INTEGER NOT NULL DEFAULT 0,
    fence            INTEGER NOT NULL DEFAULT 0,
    -- of the newest checkpoint
    last_doc_index   INTEGER,
    tokens_so_far    INTEGER,
    last_step        INTEGER,
    loss             REAL,
    started_at       TEXT,
    finished_at      TEXT,
    failure          TEXT CHECK (json_valid(failure)),
    skip_reason      TEXT,
    reused_from      TEXT REFERENCES run (id),
    not_before       TEXT,
    lease_expires_at TEXT,
    -- of the running attempt
    pid              INTEGER,
    process_start    INTEGER,
    boot_id          TEXT,
    -- units of pools that the running attempt holds
    resources        TEXT CHECK (json_valid(resources)),
    attempt_started_at TEXT,
    -- what the running attempt said of its progress: last, and at first
    progress_done     INTEGER,
    progress_total    INTEGER,
    progress_at       TEXT,
    progress_first    INTEGER,
    progress_first_at TEXT,
    -- what a waiting step waits for
    wait             TEXT CHECK (json_valid(wait)),
    key              TEXT,
    parent           TEXT,
    item_index       INTEGER,
    item             TEXT CHECK (json_valid(item)),
    needs            TEXT NOT NULL CHECK (json_valid(needs)),
    arguments        TEXT CHECK (json_valid(arguments)),
    output_values    TEXT CHECK (json_valid(output_values)),
    PRIMARY KEY (run, id),
    FOREIGN KEY (run, parent) REFERENCES step (run, id)
) STRICT;
INSERT INTO new_step (run, id, position, kind, status, attempts, retries_used, fence, last_doc_index, tokens_so_far,
                      last_step, loss, started_at, finished_at, failure, skip_reason, reused_from, not_before,
                      lease_expires_at, pid, process_start, boot_id, key, parent, item_index, item, needs, arguments,
                      output_values)
SELECT run, id, position, kind, status, attempts, retries_used, fence, last_doc_index, tokens_so_far,
       last_step, loss, started_at, finished_at, failure, skip_reason, reused_from, not_before,
       lease_expires_at, pid, process_start, boot_id, key, parent, item_index, item, needs, arguments,
       output_values FROM step;
DROP TABLE step;
ALTER TABLE new_step RENAME TO step;
UPDATE step SET attempt_started_at = (SELECT attempt.started_at FROM attempt
    WHERE attempt.run = step.run AND attempt.step = step.id AND attempt.attempt = step.attempts)
WHERE status = 'running';
-- find_reusable: a succeeded step of that key
CREATE INDEX step_reusable ON step (key) WHERE status = 'succeeded' AND key IS NOT NULL;
-- foreign key check of children when a step row changes; children of a fan-out
CREATE INDEX step_child ON step (run, parent) WHERE parent IS NOT NULL;
-- waits: what runs wait for
CREATE INDEX step_waiting ON step (run, position, item_index) WHERE status = 'waiting';

-- For how long the attempt has worked; its end may have been noticed much later.
ALTER TABLE attempt ADD COLUMN compute_ms INTEGER;
UPDATE attempt SET compute_ms = CAST(round((julianday(finished_at) - julianday(started_at)) * 86400000) AS INTEGER)
WHERE finished_at IS NOT NULL;

-- alerts and budgets of a run
CREATE INDEX event_notice ON event (run, seq) WHERE kind IN ('run_alerted', 'run_budget_raised');

-- What other processes ask of the engine.
CREATE TABLE new_request (
    id      INTEGER PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES run (id),
    kind    TEXT NOT NULL CHECK (kind IN ('cancel', 'pause', 'resume', 'retry', 'decide', 'signal', 'raise_budget')),
    body    TEXT NOT NULL CHECK (json_valid(body)),
    at      TEXT NOT NULL,
    done_at TEXT,
    -- why nothing was done
    refusal TEXT
) STRICT;
INSERT INTO new_request (id, run, kind, body, at, done_at)
SELECT id, run, kind, json_object('kind', kind), at, done_at FROM request;
DROP TABLE request;
ALTER TABLE new_request RENAME TO request;
-- pending_requests
CREATE INDEX request_pending ON request (id) WHERE done_at IS NULL;

-- Decisions of gates and people.
CREATE TABLE decision (
    seq      INTEGER PRIMARY KEY REFERENCES event (seq),
    run      TEXT NOT NULL,
    step     TEXT NOT NULL,
    at       TEXT NOT NULL,
    rule     TEXT NOT NULL,
    inputs   TEXT NOT NULL CHECK (json_valid(inputs)),
    verdict  TEXT NOT NULL CHECK (verdict IN ('approved', 'rejected')),
    approver TEXT,
    comment  TEXT,
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT;
-- decisions of a step
CREATE INDEX decision_step ON decision (run, step, seq);

-- Signals in the order of their arrival; `taken_by` is the step that waited for it.
CREATE TABLE signal (
    seq      INTEGER PRIMARY KEY REFERENCES event (seq),
    run      TEXT NOT NULL REFERENCES run (id),
    name     TEXT NOT NULL,
    payload  TEXT NOT NULL CHECK (json_valid(payload)),
    taken_by TEXT
) STRICT;
-- the oldest signal of a name that nobody has taken
CREATE INDEX signal_free ON signal (run, name, seq) WHERE taken_by IS NULL;

-- Workflows that start by the clock.
CREATE TABLE schedule (
    name       TEXT PRIMARY KEY NOT NULL,
    cron       TEXT NOT NULL,
    time_zone  TEXT NOT NULL,
    -- the whole workflow, with its parameters
    spec       TEXT NOT NULL CHECK (json_valid(spec)),
    options    TEXT NOT NULL CHECK (json_valid(options)),
    created_at TEXT NOT NULL,
    paused_at  TEXT,
    -- everything due until then has been started or passed over
    done_until TEXT NOT NULL
) STRICT;

CREATE VIEW runs AS
SELECT id, name, workflow, status, created_at, started_at, finished_at,
       (SELECT count(*) FROM step WHERE step.run = run.id AND step.status IN ('succeeded', 'skipped')) AS steps_done,
       (SELECT count(*) FROM step WHERE step.run = run.id) AS steps,
       coalesce(failure ->> '$.message', pause_reason) AS failure
FROM run
ORDER BY id DESC;

CREATE VIEW steps AS
SELECT run.name, step.id AS step, step.kind, step.status, step.attempts, step.last_doc_index, step.tokens_so_far,
       step.last_step, round(step.loss, 4) AS loss, step.started_at, step.finished_at,
       step.failure ->> '$.message' AS failure, step.run
FROM step JOIN run ON run.id = step.run
ORDER BY step.run DESC, step.position, step.item_index;

CREATE VIEW checkpoints AS
SELECT run.name, checkpoint.step, checkpoint.at, checkpoint.attempt, last_doc_index, tokens_so_far, last_step,
       round(loss, 4) AS loss, phase, digest, checkpoint.run
FROM checkpoint JOIN run ON run.id = checkpoint.run
ORDER BY checkpoint.seq DESC;

CREATE VIEW outputs AS
SELECT run.name, step_output.step, step_output.name AS output, size, media_type, digest, step_output.run
FROM step_output JOIN run ON run.id = step_output.run
ORDER BY step_output.run DESC, step_output.step, step_output.name;

CREATE VIEW log AS
SELECT event.seq, event.at, run.name, event.kind, event.step, event.payload
FROM event JOIN run ON run.id = event.run
ORDER BY event.seq;

CREATE VIEW decisions AS
SELECT run.name, decision.step, decision.at, rule, inputs, verdict, approver, comment, decision.run
FROM decision JOIN run ON run.id = decision.run
ORDER BY decision.seq;

-- Retention: when everything but its log was removed.
ALTER TABLE run ADD COLUMN pruned_at TEXT;
-- Of all other columns; metrics are not in the event log. Rows of older schemas have none.
ALTER TABLE metric ADD COLUMN digest INTEGER;

-- Commits without an event, so that `event-head` notices their loss too.
INSERT INTO meta (key, value) VALUES ('quiet_commits', 0);

-- Builds and machines on which attempts ran.
CREATE TABLE environment (
    digest TEXT PRIMARY KEY NOT NULL,
    body   TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
ALTER TABLE attempt ADD COLUMN environment TEXT REFERENCES environment (digest);

PRAGMA user_version = 3;
