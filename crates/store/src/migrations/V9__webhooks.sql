-- Who outside this machine has which events.

-- Written by any process, mostly by the threads that send.
CREATE TABLE event_cursor (
    -- a receiver
    name  TEXT PRIMARY KEY NOT NULL,
    -- newest event that it needs nothing of any more, or has a message of
    seq   INTEGER NOT NULL,
    -- types of events, separated by commas, of which it also gets messages that no event of the log leads to
    wants TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A message for one receiver. Ended ones are removed after a while.
CREATE TABLE webhook_message (
    number     INTEGER PRIMARY KEY,
    webhook    TEXT NOT NULL,
    -- follows from the event, so it is the same whoever makes the message
    id         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    run        TEXT,
    -- the bytes that are sent, at every attempt
    body       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- of the next attempt; null once it has ended
    next_at    TEXT,
    last_at    TEXT,
    -- of the last answer; null if there was none
    status     INTEGER,
    -- why the last attempt failed
    error      TEXT,
    outcome    TEXT CHECK (outcome IN ('delivered', 'given_up')),
    UNIQUE (webhook, id),
    CHECK ((next_at IS NULL) = (outcome IS NOT NULL))
) STRICT;

-- The next message to send to a receiver.
CREATE INDEX webhook_message_due ON webhook_message (webhook, next_at) WHERE next_at IS NOT NULL;
-- Ended messages, oldest first, and the last result of a receiver.
CREATE INDEX webhook_message_ended ON webhook_message (webhook, last_at) WHERE next_at IS NULL;

PRAGMA user_version = 9;
