-- The mode that governs a door follows from the orders that stand; these are kept, not the result.
CREATE TABLE door_mode_order (
    door_id      TEXT    NOT NULL,
    slot         TEXT    NOT NULL,
    lockdown     INTEGER NOT NULL,
    mode         TEXT    NOT NULL,
    until_ms     INTEGER,
    cause_kind   TEXT    NOT NULL,
    cause_ref    TEXT    NOT NULL,
    cause_reason TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (door_id, slot, lockdown)
) STRICT, WITHOUT ROWID;
-- A door's last mode was one order: the centre's where its event says so, else an operator's.
-- Locked is how a door is without any.
INSERT INTO door_mode_order
    SELECT door_id, CASE cause_kind WHEN 'centre' THEN 'centre' ELSE 'operator' END,
        mode = 'LockedDown', mode, NULL,
        CASE cause_kind WHEN 'centre' THEN 'centre' ELSE 'operator' END, cause_ref, cause_reason, seq
    FROM (
        SELECT m.door_id, m.mode, m.seq,
            CASE e.kind WHEN 'desired.applied' THEN 'centre'
                ELSE json_extract(e.data, '$.cause.kind') END AS cause_kind,
            CASE e.kind WHEN 'desired.applied' THEN 'desired ' || json_extract(e.data, '$.revision')
                ELSE coalesce(json_extract(e.data, '$.cause.ref'), '') END AS cause_ref,
            coalesce(json_extract(e.data, '$.cause.reason'), '') AS cause_reason
        FROM door_mode m LEFT JOIN event e ON e.seq = m.seq
        WHERE m.mode NOT IN ('Locked', 'Accessed')
    );
DROP TABLE door_mode;
