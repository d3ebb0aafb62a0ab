-- What clients of the OpenAI-compatible routes keep here. Written by any process that serves.

CREATE TABLE file (
    -- `file-` and SHA-256 of the content
    id         TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 69),
    -- BLAKE3 of the content, which is in artifacts/blobs
    digest     TEXT NOT NULL CHECK (length(digest) = 64),
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    filename   TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    -- null for a file that stays until it is deleted
    expires_at TEXT
) STRICT, WITHOUT ROWID;

-- files: pages by age
CREATE INDEX file_age ON file (created_at, id);
-- is_referenced
CREATE INDEX file_digest ON file (digest);

CREATE TABLE batch (
    -- `batch_` and SHA-256 of what the client asked for; also the idempotency key of the run that answers its rows
    id                   TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 70),
    created_at           TEXT NOT NULL,
    endpoint             TEXT NOT NULL,
    completion_window    TEXT NOT NULL,
    expires_at           TEXT NOT NULL,
    input_file           TEXT NOT NULL,
    -- {"digest","size","media_type"}: the content stays when the file is deleted
    input                TEXT NOT NULL CHECK (json_valid(input)),
    metadata             TEXT NOT NULL CHECK (json_valid(metadata)),
    -- seconds after which result files are deleted
    output_expires_after INTEGER,
    -- what checking the input has found; null until it is done
    checked              TEXT CHECK (json_valid(checked)),
    -- when somebody asked to cancel it
    cancelling_at        TEXT,
    -- how it ended, written once; until then its state is that of its run
    ending               TEXT CHECK (json_valid(ending))
) STRICT, WITHOUT ROWID;

-- batches: pages by age
CREATE INDEX batch_age ON batch (created_at, id);
-- open_batches: those that the server must bring to an end
CREATE INDEX batch_open ON batch (created_at, id) WHERE ending IS NULL;

PRAGMA user_version = 11;
