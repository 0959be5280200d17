-- Alarms that come back, wait anew, are shelved or escalated: gatewayd/store/schema.sql.
ALTER TABLE alarm ADD COLUMN repeated_seq INTEGER;
ALTER TABLE alarm ADD COLUMN waiting_seq INTEGER;
ALTER TABLE alarm ADD COLUMN shelved_seq INTEGER;
ALTER TABLE alarm ADD COLUMN escalated_seq INTEGER;
CREATE INDEX alarm_open ON alarm (alarm_id)
    WHERE cleared_seq IS NULL OR (acknowledged_seq IS NULL AND shelved_seq IS NULL);
CREATE INDEX alarm_over ON alarm (cleared_seq);
