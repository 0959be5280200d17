-- One revision of the whitelist. A full list is built in a file of its own and swapped in whole;
-- a delta changes the current file in one transaction. PRAGMA user_version is whitelist_file.LAYOUT:
-- a change here is a new one.
CREATE TABLE revision (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision       INTEGER NOT NULL,
    base           INTEGER,             -- of the last delta; NULL for a full list
    content_sha256 TEXT NOT NULL,       -- over the raw records that made this revision
    credentials    INTEGER NOT NULL     -- how many there are: counting a million takes too long
) STRICT;
CREATE TABLE credential (
    id          INTEGER NOT NULL,       -- 63 bits of SHA-256 of the key: found by comparing integers
    key         TEXT    NOT NULL,       -- Credential.key in full: keys that share an id stay apart
    person_id   TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    valid_from  INTEGER,                -- seconds since 1970 UTC, inclusive; NULL: no beginning
    valid_until INTEGER,                -- exclusive; NULL: no end
    more        TEXT    NOT NULL,       -- what few have, as JSON of model.CredentialRecord's; or ''
    line        INTEGER NOT NULL,       -- of the list or delta that brought it, for messages
    PRIMARY KEY (id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE person (
    id       TEXT PRIMARY KEY,
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    building TEXT NOT NULL,
    unit     TEXT NOT NULL,
    room     TEXT NOT NULL,
    phone    TEXT NOT NULL,
    photo    TEXT NOT NULL,
    levels   TEXT NOT NULL,             -- level ids, joined by spaces
    more     TEXT NOT NULL,             -- what few have, as JSON of model.Person's fields; or ''
    line     INTEGER NOT NULL           -- of the list or delta that brought it, for messages
) STRICT, WITHOUT ROWID;
CREATE TABLE rule (
    kind   TEXT NOT NULL,               -- 'calendar', 'schedule', 'group' or 'level': few, in memory
    id     TEXT NOT NULL,
    record TEXT NOT NULL,               -- as the centre sent it, checked
    line   INTEGER NOT NULL,            -- of the list or delta that brought it, for messages
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
