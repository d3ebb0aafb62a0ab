-- How training goes while it goes: timings and memory of its steps, texts, the best checkpoint, what attempts use.

-- Of a training only. The digest of the row covers those that are there.
ALTER TABLE metric ADD COLUMN data_wait_seconds REAL;
ALTER TABLE metric ADD COLUMN memory_bytes INTEGER;
ALTER TABLE metric ADD COLUMN mfu REAL;

-- Loss on held-out text, if it was measured at the step of the checkpoint.
ALTER TABLE checkpoint ADD COLUMN val_loss REAL;
-- 1: the lowest such loss so far. The newest of these stays beside the newest checkpoints.
ALTER TABLE checkpoint ADD COLUMN best INTEGER NOT NULL DEFAULT 0 CHECK (best IN (0, 1));

-- Texts that a model wrote during its training; rewound like metrics, with a digest each.
CREATE TABLE sample (
    run        TEXT NOT NULL,
    step       TEXT NOT NULL,
    train_step INTEGER NOT NULL,
    -- place among the prompts
    number     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    prompt     TEXT NOT NULL,
    text       TEXT NOT NULL,
    digest     INTEGER NOT NULL,
    PRIMARY KEY (run, step, train_step, number),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT, WITHOUT ROWID;

-- What the processes of an attempt used. Long attempts keep fewer of their early rows.
CREATE TABLE attempt_usage (
    run             TEXT NOT NULL,
    step            TEXT NOT NULL,
    attempt         INTEGER NOT NULL,
    -- of the measurement, from 1; ten seconds lie between two
    number          INTEGER NOT NULL,
    at              TEXT NOT NULL,
    -- of the processes that are alive and of those that have ended, since the start of the attempt
    cpu_seconds     REAL NOT NULL,
    memory_bytes    INTEGER NOT NULL,
    -- highest measurement so far
    peak_bytes      INTEGER NOT NULL,
    disk_free_bytes INTEGER,
    -- of the whole machine
    gpu_ratio       REAL,
    gpu_bytes       INTEGER,
    PRIMARY KEY (run, step, attempt, number),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 10;
