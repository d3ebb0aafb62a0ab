-- Work that does not grow with the history of the state directory.

-- When the step became ready: `timeout.schedule_to_close` counts from here, also for the next engine.
ALTER TABLE step ADD COLUMN ready_since TEXT;
-- A step that was ready already keeps its time. Events that leave the status alone do not count.
UPDATE step SET ready_since = since.at
FROM (SELECT run, step, at, max(seq) FROM
          (SELECT run, step, seq, at, kind, lag(kind) OVER (PARTITION BY run, step ORDER BY seq) AS before
           FROM event
           WHERE step IS NOT NULL AND kind NOT IN ('attempt_spawned', 'attempt_rewound', 'checkpoint_committed',
                                                   'checkpoint_adopted', 'step_decided', 'note'))
      WHERE kind = 'step_ready'
            AND (before IS NULL OR before NOT IN ('step_ready', 'attempt_failed', 'attempt_released'))
      GROUP BY run, step) AS since
WHERE since.run = step.run AND since.step = step.id;

-- The first attempt of those since which the key has not changed: their checkpoints fit the inputs.
ALTER TABLE step ADD COLUMN key_since INTEGER;
UPDATE step SET key_since = since.attempt
FROM (SELECT run, step, attempt, max(seq) FROM
          (SELECT run, step, seq, payload ->> '$.attempt' AS attempt, payload ->> '$.key' AS key,
                  lag(payload ->> '$.key') OVER (PARTITION BY run, step ORDER BY seq) AS before
           FROM event WHERE kind = 'attempt_started')
      WHERE before IS NULL OR before <> key
      GROUP BY run, step) AS since
WHERE since.run = step.run AND since.step = step.id;

-- find_reusable: the newest of many equal steps
DROP INDEX step_reusable;
CREATE INDEX step_reusable ON step (key, run) WHERE status = 'succeeded' AND key IS NOT NULL AND kind <> 'noop';
-- is_referenced; foreign key check when an artifact's row is removed
CREATE INDEX checkpoint_digest ON checkpoint (digest) WHERE digest IS NOT NULL;
-- remove_run
CREATE INDEX request_run ON request (run);
-- signals of a run; remove_run
CREATE INDEX signal_run ON signal (run, seq);

PRAGMA user_version = 5;
