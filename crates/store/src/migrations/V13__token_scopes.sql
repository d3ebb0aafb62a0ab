-- Tokens of scope `infer`.

-- SQLite cannot change a CHECK, so the table is made again. Its rows stay as they are: they are under the seal. `open/convert.rs`
-- then converts them, and sets `user_version`.
CREATE TABLE token_13 (
    -- BLAKE3 of the secret
    hash       TEXT PRIMARY KEY NOT NULL CHECK (length(hash) = 64),
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'session', 'code')),
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL CHECK (scope IN ('read', 'infer', 'run', 'admin')),
    created_at TEXT NOT NULL,
    -- null for a token that does not expire
    expires_at TEXT,
    -- last use, to the hour
    used_at    TEXT,
    revoked_at TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO token_13 (hash, kind, name, scope, created_at, expires_at, used_at, revoked_at)
SELECT hash, kind, name, scope, created_at, expires_at, used_at, revoked_at FROM token;
DROP TABLE token;
ALTER TABLE token_13 RENAME TO token;
