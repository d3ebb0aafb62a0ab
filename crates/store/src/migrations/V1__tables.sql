-- The state of all runs. `event` is the truth; every other table is a projection of it, written in the
-- same transaction. Times are RFC 3339 in UTC with milliseconds; structured values are JSON.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value ANY NOT NULL
) STRICT;

-- Grows with every engine start; an engine with an older epoch cannot commit.
INSERT INTO meta (key, value) VALUES ('engine_epoch', 0);

CREATE TABLE run (
    id              TEXT PRIMARY KEY NOT NULL,
    name            TEXT NOT NULL,
    workflow        TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN
        ('pending', 'running', 'interrupted', 'canceling', 'succeeded', 'failed', 'canceled')),
    created_at      TEXT NOT NULL,
    started_at      TEXT,
    finished_at     TEXT,
    updated_at      TEXT NOT NULL,
    failure         TEXT CHECK (json_valid(failure)),
    idempotency_key TEXT UNIQUE,
    spec_digest     TEXT NOT NULL,
    spec            TEXT NOT NULL CHECK (json_valid(spec))
) STRICT;

-- submit: at most one active run of a name
CREATE UNIQUE INDEX run_active_name ON run (name) WHERE status IN ('pending', 'running', 'interrupted', 'canceling');
-- resolve_run: the newest run of a name
CREATE INDEX run_name ON run (name, id);
-- previous_step: the newest earlier run of a workflow
CREATE INDEX run_workflow ON run (workflow, id);

CREATE TABLE step (
    run              TEXT NOT NULL REFERENCES run (id),
    id               TEXT NOT NULL,
    position         INTEGER NOT NULL,
    kind             TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN
        ('pending', 'ready', 'running', 'expanded', 'succeeded', 'failed', 'skipped', 'canceled')),
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

-- find_reusable: a succeeded step of that key
CREATE INDEX step_reusable ON step (key) WHERE status = 'succeeded' AND key IS NOT NULL;
-- foreign key check of children when a step row changes; children of a fan-out
CREATE INDEX step_child ON step (run, parent) WHERE parent IS NOT NULL;

CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES run (id),
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL,
    step    TEXT,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    -- BLAKE3 of (previous hash, seq, run, at, payload)
    hash    TEXT NOT NULL
) STRICT;

-- events of one run, in order
CREATE INDEX event_run ON event (run, seq);

-- Every content that a step produced or a checkpoint holds; the bytes are in artifacts/blobs.
CREATE TABLE artifact (
    digest     TEXT PRIMARY KEY NOT NULL,
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    first_seen TEXT NOT NULL
) STRICT;

CREATE TABLE step_output (
    run        TEXT NOT NULL,
    step       TEXT NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT NOT NULL REFERENCES artifact (digest),
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (run, step, name),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT;

-- Whether dropped content is still the output of a step.
CREATE INDEX step_output_digest ON step_output (digest);

CREATE TABLE attempt (
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
    PRIMARY KEY (run, step, attempt),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT;

CREATE TABLE checkpoint (
    seq            INTEGER PRIMARY KEY REFERENCES event (seq),
    run            TEXT NOT NULL,
    step           TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    at             TEXT NOT NULL,
    last_doc_index INTEGER,
    tokens_so_far  INTEGER,
    last_step      INTEGER,
    loss           REAL,
    phase          TEXT,
    permanent      INTEGER NOT NULL CHECK (permanent IN (0, 1)),
    digest         TEXT REFERENCES artifact (digest),
    size           INTEGER,
    media_type     TEXT,
    state          TEXT NOT NULL CHECK (json_valid(state)),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT;

-- checkpoints of a step, newest first
CREATE INDEX checkpoint_step ON checkpoint (run, step, seq);

-- One row per training step; a rewound attempt removes its rows before it writes them again.
CREATE TABLE metric (
    run               TEXT NOT NULL,
    step              TEXT NOT NULL,
    train_step        INTEGER NOT NULL,
    attempt           INTEGER NOT NULL,
    -- NULL: not a number
    loss              REAL,
    learning_rate     REAL,
    grad_norm         REAL,
    tokens_so_far     INTEGER NOT NULL,
    tokens_per_second REAL,
    PRIMARY KEY (run, step, train_step),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT, WITHOUT ROWID;

-- What other processes ask of the engine.
CREATE TABLE request (
    id      INTEGER PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES run (id),
    kind    TEXT NOT NULL CHECK (kind IN ('cancel')),
    at      TEXT NOT NULL,
    done_at TEXT
) STRICT;

-- pending_requests
CREATE INDEX request_pending ON request (id) WHERE done_at IS NULL;

PRAGMA user_version = 1;
