-- The first version of operators.db: who may sit at the console, and who does now.
PRAGMA application_id = 0x67776F31;
CREATE TABLE operator (
    name                 TEXT    PRIMARY KEY,  -- as it is typed at log-in and journaled
    role                 TEXT    NOT NULL CHECK (role IN ('guard', 'leader', 'manager', 'administrator')),
    password_hash        TEXT    NOT NULL,     -- argon2id, in its own encoded form
    language             TEXT    NOT NULL,     -- 'zh-CN' or 'en'
    enabled              INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    must_change_password INTEGER NOT NULL CHECK (must_change_password IN (0, 1))
) STRICT;
CREATE TABLE session (
    token_sha256 BLOB    PRIMARY KEY,          -- of the 256-bit token that the cookie carries
    operator     TEXT    NOT NULL REFERENCES operator (name) ON DELETE CASCADE,
    address      TEXT    NOT NULL,             -- where the log-in came from
    begun_boot   TEXT    NOT NULL,             -- the moment of the log-in …
    begun_ns     INTEGER NOT NULL,             -- … monotonic, while the box is not restarted
    begun_ms     INTEGER NOT NULL,             -- … by the wall's clock, after a restart
    seen_boot    TEXT    NOT NULL,             -- the same of the last request or open page
    seen_ns      INTEGER NOT NULL,
    seen_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_operator ON session (operator);
