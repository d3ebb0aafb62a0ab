-- Who may use the server: tokens of scripts, sessions of browsers, and codes that log a browser in.

-- Written by any process. The secrets themselves are nowhere: only their digests are stored.
CREATE TABLE token (
    -- BLAKE3 of the secret
    hash       TEXT PRIMARY KEY NOT NULL CHECK (length(hash) = 64),
    kind       TEXT NOT NULL CHECK (kind IN ('token', 'session', 'code')),
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL CHECK (scope IN ('read', 'run', 'admin')),
    created_at TEXT NOT NULL,
    -- null for a token that does not expire
    expires_at TEXT,
    -- last use, to the hour
    used_at    TEXT,
    revoked_at TEXT
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 8;
