-- Pictures of long series, and pages of many steps, that read a bounded number of rows.

-- A series in blocks of neighbouring rows, with the extremes of every number in them: made of the rows of `metric` when
-- they are committed, or when somebody looks at them first. What changes a row removes its blocks in the same
-- transaction. The newest rows have no block yet.
CREATE TABLE series_block (
    run        TEXT NOT NULL,
    step       TEXT NOT NULL,
    -- 1: 64 rows; a block of any other level stands for 16 of the level below
    level      INTEGER NOT NULL,
    -- training steps of its last and its first row
    last_step  INTEGER NOT NULL,
    first_step INTEGER NOT NULL,
    -- the extremes of each number, as `series/encode.rs` writes them; first those without `/` in their names
    plain      BLOB NOT NULL,
    layered    BLOB NOT NULL,
    PRIMARY KEY (run, step, level, last_step),
    FOREIGN KEY (run, step) REFERENCES step (run, id)
) STRICT, WITHOUT ROWID;

-- step_page: failed steps come first, then those at work
CREATE INDEX step_failed ON step (run, position, item_index) WHERE status = 'failed';
CREATE INDEX step_expanded ON step (run, position) WHERE status = 'expanded';

-- The steps of a run in numbers, items of fan-outs included; written once per transaction.
CREATE TABLE run_tally (
    run    TEXT PRIMARY KEY NOT NULL REFERENCES run (id),
    -- steps that are no items
    top    INTEGER NOT NULL,
    total  INTEGER NOT NULL,
    -- succeeded or skipped
    done   INTEGER NOT NULL,
    failed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO run_tally (run, top, total, done, failed)
SELECT run, count(*) FILTER (WHERE parent IS NULL), count(*), count(*) FILTER (WHERE status IN ('succeeded', 'skipped')),
       count(*) FILTER (WHERE status = 'failed')
FROM step GROUP BY run;

PRAGMA user_version = 12;
