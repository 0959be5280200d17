"""What other systems call a reason: ONVIF's words and the standards behind. Owns the mapping only.

A cell stays empty where a standard has no word for it: a guess would be believed.
"""

from __future__ import annotations

from gatewayd.domain.model import Reason

_NOT_FOUND = "event `AccessControl/Denied/CredentialNotFound`"
_PASSBACK = "`Other`, and the event `Credential/State/ApbViolation`"

# The `Reason` of `AccessControl/Denied/Credential` (Access Control Service, DenyReason); where a
# denial is an event of its own there, that event.
ONVIF: dict[Reason, str] = {
    Reason.GRANTED: "event `AccessControl/AccessGranted/Credential`",
    Reason.CREDENTIAL_UNKNOWN: _NOT_FOUND,
    Reason.CREDENTIAL_SUSPENDED: "`CredentialNotEnabled`",
    Reason.CREDENTIAL_LOST: "`CredentialNotEnabled`",
    Reason.CREDENTIAL_REVOKED: "`CredentialNotEnabled`",
    Reason.NOT_YET_VALID: "`CredentialNotActive`",
    Reason.EXPIRED: "`CredentialExpired`",
    Reason.NO_ACCESS_LEVEL: "`Unauthorized`",
    Reason.OUTSIDE_SCHEDULE: "`NotPermittedAtThisTime`",
    Reason.DOOR_LOCKED_DOWN: "`Other`",
    Reason.DOOR_BLOCKED: "`Other`",
    Reason.CLOCK_UNTRUSTED: "`Other`",
    Reason.WHITELIST_UNAVAILABLE: "`Other`",
    Reason.JOURNAL_UNAVAILABLE: "`Other`",
    Reason.DEVICE_FAILED: "",
    Reason.TAP_TOO_OLD: "`Other`",
    Reason.ON_WATCH_LIST: "`Other`",
    Reason.NO_USES_LEFT: "`Other`",
    Reason.PERMIT_EXPIRED: "`Other`",
    Reason.PIN_MISSING: "`Other`",
    Reason.PIN_WRONG: "`InvalidPIN`",
    Reason.PIN_LOCKED_OUT: "`Other`",
    Reason.ANTI_PASSBACK: _PASSBACK,
    Reason.WHEREABOUTS_UNKNOWN: "`Other`",
    Reason.AREA_FULL: "`Other`",
    Reason.AREA_TOO_FEW: "`Other`",
    Reason.INTERLOCKED: "`Other`",
    Reason.NO_VEHICLE: "`Other`",
    Reason.ESCORT_REQUIRED: "`Other`",
    Reason.SECOND_PERSON_REQUIRED: "`Other`",
    Reason.CARD_MISSING: "`Other`",
}

# What a Chinese or international standard says of it, where one does.
STANDARDS: dict[Reason, str] = {
    Reason.JOURNAL_UNAVAILABLE: "GB 50396: records to the second, with place and target",
    Reason.DEVICE_FAILED: "GB 50396: card read to actuator within 2 s",
    Reason.TAP_TOO_OLD: "GB 50396: card read to actuator within 2 s",
    Reason.PIN_LOCKED_OUT: "GB 50396: alarm after 5 wrong tries in a row at most",
    Reason.ANTI_PASSBACK: "IEC 60839-11-1: anti-passback",
    Reason.SECOND_PERSON_REQUIRED: "IEC 60839-11-1: two-person access, grade 4",
}
