-- One revision of the whitelist. A full list is built in a file of its own and swapped in whole;
-- a delta changes the current file in one transaction.
CREATE TABLE revision (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision       INTEGER NOT NULL,
    base           INTEGER,             -- of the last delta; NULL for a full list
    content_sha256 TEXT NOT NULL        -- over the raw records that made this revision
) STRICT;
CREATE TABLE credential (
    id          INTEGER PRIMARY KEY,    -- 63 bits of SHA-256 of the key: a look-up is one page walk
    key         TEXT    NOT NULL,       -- Credential.key, compared in full after the look-up
    person_id   TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    valid_from  INTEGER,                -- seconds since 1970 UTC, inclusive; NULL: no beginning
    valid_until INTEGER                 -- exclusive; NULL: no end
) STRICT;
CREATE TABLE person (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    building TEXT NOT NULL,
    unit     TEXT NOT NULL,
    room     TEXT NOT NULL,
    phone    TEXT NOT NULL,
    photo    TEXT NOT NULL,
    levels   TEXT NOT NULL              -- level ids, joined by spaces
) STRICT, WITHOUT ROWID;
CREATE TABLE rule (
    kind   TEXT NOT NULL,               -- 'calendar', 'schedule' or 'level': few, kept in memory
    id     TEXT NOT NULL,
    record TEXT NOT NULL,               -- as the centre sent it, checked
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
