-- Machines that are rented.

CREATE TABLE machine (
    -- also the name or tag of the instance at the provider
    key        TEXT PRIMARY KEY NOT NULL,
    -- what a person confirms: one digest launches once
    digest     TEXT NOT NULL UNIQUE,
    -- name in the settings
    provider   TEXT NOT NULL,
    -- follows from the events, for the index below
    state      TEXT NOT NULL,
    -- number of its events
    version    INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Machines that may cost money, and plans.
CREATE INDEX machine_open ON machine (created_at) WHERE state <> 'gone';
-- All, newest first.
CREATE INDEX machine_created ON machine (created_at);

-- The life of a machine. Rows are only added: what may have been asked of a provider is committed before it is asked.
CREATE TABLE machine_event (
    number  INTEGER PRIMARY KEY,
    machine TEXT NOT NULL REFERENCES machine (key),
    -- place among the events of its machine, from 1
    version INTEGER NOT NULL,
    at      TEXT NOT NULL,
    event   TEXT NOT NULL,
    UNIQUE (machine, version)
) STRICT;
