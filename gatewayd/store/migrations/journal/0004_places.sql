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
