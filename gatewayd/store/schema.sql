-- The journal as all migrations leave it, column by column. A test compares it with a new file.
CREATE TABLE journal (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT NOT NULL              -- 16 hex digits made with the file: tells one file from another
) STRICT;
CREATE TABLE event (
    seq     INTEGER PRIMARY KEY,        -- from 1, without holes; with the epoch the event's identity
    prev    INTEGER NOT NULL,           -- seq of the event before it in the same stream, 0 for the first
    stream  TEXT    NOT NULL,           -- 'evt' or 'alarm': on which stream it goes to the centre
    kind    TEXT    NOT NULL,           -- e.g. 'access.granted': docs/reference/events.md
    subject TEXT    NOT NULL,           -- the id of what it is about
    boot    TEXT    NOT NULL,           -- Stamp.boot_id
    mono_ns INTEGER NOT NULL,           -- Stamp.monotonic_ns, comparable within one boot
    wall_ms INTEGER NOT NULL,           -- Stamp.wall_ms, milliseconds since 1970 UTC
    trusted INTEGER NOT NULL,           -- Stamp.wall_trusted, 0 or 1
    data    TEXT    NOT NULL,           -- the event's fields as canonical JSON
    hash    BLOB    NOT NULL            -- SHA-256 over the row and the hash before it: journal.md
) STRICT;
CREATE TABLE outbox (
    stream TEXT    PRIMARY KEY,
    upto   INTEGER NOT NULL             -- the centre has committed the stream up to this seq
) STRICT, WITHOUT ROWID;
-- What follows is derived from events in the transaction that writes them.
CREATE TABLE alarm (
    alarm_id         TEXT    PRIMARY KEY,
    raised_seq       INTEGER NOT NULL,
    acknowledged_seq INTEGER,           -- NULL while it waits for someone
    cleared_seq      INTEGER,           -- NULL while it is up
    repeated_seq     INTEGER,           -- of the last alarm.repeated
    waiting_seq      INTEGER,           -- since which event it waits, where that is not the first
    shelved_seq      INTEGER,           -- NULL unless it is shelved, or was when it was over
    escalated_seq    INTEGER            -- of the last alarm.escalated since it waits
) STRICT, WITHOUT ROWID;
CREATE TABLE door_mode_order (
    door_id      TEXT    NOT NULL,
    slot         TEXT    NOT NULL,      -- whose order: 'fire', 'operator', 'centre', 'linkage', 'schedule'
    lockdown     INTEGER NOT NULL,      -- 1: the slot's lockdown, which lies over its other order
    mode         TEXT    NOT NULL,      -- ONVIF DoorMode
    until_ms     INTEGER,               -- wall clock, milliseconds since 1970 UTC; NULL: until withdrawn
    cause_kind   TEXT    NOT NULL,
    cause_ref    TEXT    NOT NULL,
    cause_reason TEXT    NOT NULL,
    seq          INTEGER NOT NULL,      -- the event that ordered it
    PRIMARY KEY (door_id, slot, lockdown)
) STRICT, WITHOUT ROWID;
CREATE TABLE command (
    command_id   TEXT    PRIMARY KEY,   -- the centre's id: never carried out twice
    kid          TEXT    NOT NULL,      -- the key that signed it
    counter      INTEGER NOT NULL,
    action       TEXT    NOT NULL,
    target       TEXT    NOT NULL,
    accepted_seq INTEGER NOT NULL,
    outcome      TEXT,                  -- NULL while it is under way
    detail       TEXT    NOT NULL,
    done_seq     INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE command_counter (
    kid     TEXT    PRIMARY KEY,
    counter INTEGER NOT NULL            -- the highest accepted of this key
) STRICT, WITHOUT ROWID;
CREATE TABLE desired (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL,          -- of the wanted state applied last
    seq      INTEGER NOT NULL
) STRICT;
CREATE TABLE picture (
    seq       INTEGER PRIMARY KEY,      -- of the picture.stored event
    for_seq   INTEGER NOT NULL,         -- the event whose moment it shows
    camera_id TEXT    NOT NULL,
    name      TEXT    NOT NULL,         -- below the media folder
    sha256    TEXT    NOT NULL,
    size      INTEGER NOT NULL,         -- bytes
    age_ms    INTEGER NOT NULL          -- the event's moment minus the picture's
) STRICT;
CREATE TABLE whereabouts (
    person_id TEXT    PRIMARY KEY,
    area_id   TEXT,                     -- where the last passage led; NULL: outside
    neutral   INTEGER NOT NULL,         -- 1: forgiven since, so the next passage is in order
    seq       INTEGER NOT NULL          -- the event that says so, whose stamp tells when
) STRICT, WITHOUT ROWID;
CREATE TABLE credential_use (
    digest TEXT    PRIMARY KEY,         -- CredentialRef.digest of a pass with limited uses
    used   INTEGER NOT NULL             -- how often it has opened a door
) STRICT, WITHOUT ROWID;
