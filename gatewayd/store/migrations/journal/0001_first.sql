-- The first version of the journal; gatewayd/store/schema.sql tells what each column holds.
PRAGMA application_id = 0x67776A31;
CREATE TABLE journal (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT NOT NULL
) STRICT;
INSERT INTO journal VALUES (1, lower(hex(randomblob(8))));
CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,
    prev    INTEGER NOT NULL,
    stream  TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    boot    TEXT    NOT NULL,
    mono_ns INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    data    TEXT    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;
CREATE INDEX event_kind ON event (kind);
CREATE INDEX event_subject ON event (subject);
CREATE INDEX event_alarm ON event (seq) WHERE stream = 'alarm';
CREATE TRIGGER event_is_never_edited BEFORE UPDATE ON event
BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;
CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE (ABORT, 'events are append-only'); END;
CREATE TABLE outbox (
    stream TEXT    PRIMARY KEY,
    upto   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO outbox VALUES ('evt', 0), ('alarm', 0);
CREATE TABLE alarm (
    alarm_id         TEXT    PRIMARY KEY,
    raised_seq       INTEGER NOT NULL,
    acknowledged_seq INTEGER,
    cleared_seq      INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE door_mode (
    door_id TEXT    PRIMARY KEY,
    mode    TEXT    NOT NULL,
    seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE command (
    command_id   TEXT    PRIMARY KEY,
    kid          TEXT    NOT NULL,
    counter      INTEGER NOT NULL,
    action       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    accepted_seq INTEGER NOT NULL,
    outcome      TEXT,
    detail       TEXT    NOT NULL,
    done_seq     INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE command_counter (
    kid     TEXT    PRIMARY KEY,
    counter INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE desired (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL,
    seq      INTEGER NOT NULL
) STRICT;
CREATE TABLE picture (
    seq       INTEGER PRIMARY KEY,
    for_seq   INTEGER NOT NULL,
    camera_id TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    sha256    TEXT    NOT NULL,
    size      INTEGER NOT NULL,
    age_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX picture_for ON picture (for_seq);
