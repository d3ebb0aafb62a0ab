-- For people with the sqlite3 shell: `SELECT * FROM runs; SELECT * FROM steps;`

CREATE VIEW runs AS
SELECT id, name, workflow, status, created_at, started_at, finished_at,
       (SELECT count(*) FROM step WHERE step.run = run.id AND step.status IN ('succeeded', 'skipped')) AS steps_done,
       (SELECT count(*) FROM step WHERE step.run = run.id) AS steps,
       failure ->> '$.message' AS failure
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

PRAGMA user_version = 2;
