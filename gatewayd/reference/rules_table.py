"""The rows of rules.md: what each rule is for, what sets it and which tests prove it.

Owns these words and names; the sentences, reasons and tables are read from the code. A name that
is not there (a setting, a record's field, a kind of alarm, a test) fails the page or its test.
"""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.domain.model import AlarmKind


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. `settings` are TABLE.KEY of gatewayd.toml, `records` TYPE.FIELD of the whitelist,
    `tests` pytest's node names from the project's root."""

    decides: str
    tests: tuple[str, ...]
    settings: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    alarms: tuple[AlarmKind, ...] = ()
    standards: str = ""


def tests_in(file: str, *names: str) -> tuple[str, ...]:
    """Their node names, without what all of them share."""
    return tuple(f"tests/{file}.py::test_{name}" for name in names)


_VALID = ("credential.valid_from", "credential.valid_until", "credential.permit_until")
_HOURS = ("schedule.week", "schedule.special_days", "calendar.dates", "calendar.kind")
_AREAS = ("door.inside", "door.outside")

# One for each rule of `gatewayd.domain.policy.RULES`.
DECISION: dict[str, Row] = {
    "credential_known": Row(
        "Whether the list has this credential, with its person. A credential is its kind, its "
        "number of bits and its value; a reader's format is not part of it.",
        tests_in(
            "domain/test_policy",
            "an_unknown_card_is_denied_at_the_first_rule",
            "a_card_without_its_person_counts_as_unknown",
        ),
        records=("credential.kind", "credential.bits", "credential.value", "credential.person"),
    ),
    "watch_list": Row(
        "Whether the person or the credential is watched. It comes before every lesser reason; an "
        "alarm is raised, and why someone is watched is never journaled.",
        tests_in(
            "domain/test_credential_rules",
            "a_person_on_the_watch_list_is_denied_whatever_else_is_wrong",
            "a_credential_on_the_watch_list_is_denied_as_well",
        ),
        records=("person.watch", "credential.watch"),
        alarms=(AlarmKind.WATCH_LIST,),
    ),
    "credential_active": Row(
        "Whether the credential is in use, suspended, reported lost or taken back.",
        tests_in("domain/test_policy", "a_card_that_is_not_active_is_denied_with_its_own_reason"),
        records=("credential.status",),
    ),
    "clock_believable": Row(
        "Whether the box knows the time, where a date counts. Who has no date may pass without a "
        "clock; hours are judged by their own rule.",
        tests_in("domain/test_policy", "a_box_that_lost_its_time_admits_only_what_needs_no_clock")
        + tests_in("domain/test_credential_rules", "a_permit_needs_a_clock_where_it_counts"),
        records=_VALID,
        alarms=(AlarmKind.CLOCK_JUMPED,),
    ),
    "valid_from": Row(
        "Whether the credential has begun: from this second on.",
        tests_in("domain/test_policy", "validity_counts_to_the_second"),
        records=("credential.valid_from",),
    ),
    "valid_until": Row(
        "Whether the credential has ended: at this second it has.",
        tests_in(
            "domain/test_policy", "validity_counts_to_the_second", "an_expired_denial_tells_when"
        ),
        records=("credential.valid_until",),
    ),
    "uses_left": Row(
        "Whether a pass has opened a door as often as it may. A use counts at the grant, and is "
        "given back where the door stayed shut.",
        tests_in("domain/test_credential_rules", "a_pass_opens_so_often_and_no_more")
        + tests_in(
            "core/test_memory",
            "a_pass_counts_at_the_grant_and_a_door_that_stays_shut_gives_it_back",
            "uses_outlast_a_restart",
        ),
        records=("credential.uses",),
    ),
    "permit": Row(
        "Whether a vehicle's permit is paid. It counts at vehicle lanes, never for people on foot.",
        tests_in(
            "domain/test_credential_rules",
            "a_permit_counts_for_vehicles_only",
            "an_expired_permit_tells_since_when",
        ),
        records=("credential.permit_until",),
    ),
    "door_mode": Row(
        "Whether the door's mode lets anybody in by a credential. Whose word the mode is: "
        "[who wins over whom](#who-wins-over-whom).",
        tests_in("domain/test_policy", "a_locked_down_or_blocked_door_admits_nobody"),
    ),
    "access_level": Row(
        "Whether the person holds a level that has this door, at any hour.",
        tests_in(
            "domain/test_policy",
            "a_level_without_this_door_is_no_level",
            "nobody_without_levels_passes",
        ),
        records=("person.levels", "level.doors", "level.groups", "group.doors"),
    ),
    "in_schedule": Row(
        "Whether one of these levels is open now, by the site's time zone and the dates of its "
        "calendars. Without a clock only hours that are always open are.",
        tests_in(
            "domain/test_policy",
            "the_cleaner_is_denied_outside_her_hours",
            "one_open_level_of_several_is_enough_and_is_named",
            "a_level_whose_schedule_is_missing_is_closed",
        )
        + tests_in("domain/test_schedule_model", "is_open_agrees_with_every_second_written_out"),
        settings=("site.time_zone",),
        records=("level.schedule", *_HOURS),
    ),
    "pin": Row(
        "Whether what the access point asks for was shown: a card, a code, either, or both, and "
        "both perhaps only in some hours. A duress PIN opens as usual and raises a silent alarm.",
        tests_in(
            "domain/test_credential_rules",
            "card_and_pin_wants_both",
            "a_card_alone_is_enough_where_no_pin_is_asked_for",
            "a_code_alone_is_no_card",
            "outside_the_pin_hours_the_card_is_enough",
            "a_duress_pin_opens_as_usual_and_says_so_to_those_who_should_know",
        ),
        settings=("reader.verification", "reader.pin_schedule", "site.pin_key_file"),
        records=("person.pin", "person.duress_pin", "credential.duress"),
        alarms=(AlarmKind.DURESS,),
        standards="IEC 60839-11-1: recognition by token, by memorised information, or both",
    ),
    "anti_passback": Row(
        "Whether the passage fits to where the person is. Each of the two areas judges by its own "
        "setting, and the stricter verdict counts: [the kinds](#kinds-of-anti-passback).",
        tests_in(
            "domain/test_place_rules",
            "who_is_in_a_hard_area_does_not_enter_it_again",
            "who_is_not_in_a_hard_area_does_not_leave_it",
            "a_soft_area_lets_pass_and_warns",
            "a_timed_area_denies_for_its_time_only",
            "anti_passback_agrees_with_a_slow_obvious_statement",
        ),
        settings=("area.anti_passback", "area.forgive_min", "area.admit_unknown", *_AREAS),
        alarms=(AlarmKind.ANTI_PASSBACK,),
        standards="IEC 60839-11-1: anti-passback",
    ),
    "occupancy": Row(
        "Whether the area that is entered has room. Who is counted inside already takes no second "
        "place. Whoever was let in takes theirs at once, and it is free again where they did not "
        "pass by 15 s after the time for which the door unlocks. And whether whoever enters is "
        "with as many as must be there together: at a door for two both are counted.",
        tests_in(
            "domain/test_place_rules",
            "a_full_area_admits_nobody",
            "an_area_may_only_warn_that_it_is_full",
            "who_is_counted_inside_already_takes_no_second_place",
            "nobody_is_the_only_one_where_several_must_be",
            "a_door_for_two_is_the_way_into_an_empty_area_with_a_minimum",
        )
        + tests_in(
            "core/test_tap_rules",
            "two_who_tap_before_the_door_opens_do_not_both_get_the_last_place",
            "a_place_is_free_again_when_its_time_to_pass_is_over",
        ),
        settings=("area.maximum", "area.excess", "area.minimum", "area.shortfall", *_AREAS),
        alarms=(AlarmKind.AREA_OVER_LIMIT,),
    ),
    "interlock": Row(
        "Whether another door of the same interlock is in the way: [the kinds]"
        "(#kinds-of-interlock).",
        tests_in("domain/test_place_rules", "another_door_of_the_interlock_stands_in_the_way"),
        settings=("interlock.doors", "interlock.rule"),
    ),
    "vehicle_present": Row(
        "Whether a vehicle stands in the lane. A lane without a loop can't tell, and asks nothing.",
        tests_in("domain/test_place_rules", "a_barrier_opens_for_vehicles"),
    ),
    "escort": Row(
        "Whether someone who needs an escort comes soon enough after one, the same way. Whoever "
        "has escorts of their own follows only those; the others, anyone who may escort.",
        tests_in(
            "domain/test_place_rules",
            "a_visitor_passes_only_after_an_escort",
            "a_visitor_of_someone_follows_them_only",
            "an_escort_who_waits_as_the_first_of_two_escorts_the_second",
        ),
        settings=("door.escort_s",),
        records=("person.needs_escort", "person.may_escort", "person.escorts"),
    ),
    "two_person": Row(
        "Whether this is the second of two different people at a door for two. It is the last "
        "rule: whom it denies is authorised in all else, and becomes the first of two.",
        tests_in(
            "domain/test_place_rules",
            "a_door_for_two_opens_for_the_second",
            "elsewhere_one_is_enough_and_nobody_counts_as_waiting",
        ),
        settings=("door.two_person_s",),
        standards="IEC 60839-11-1: two-person access, grade 4",
    ),
}

# One for each rule of `gatewayd.domain.path_rules`: the tap's path, before and after the others.
PATH: dict[str, Row] = {
    "whitelist_readable": Row(
        "Before all others: whether the list can be read at all.",
        tests_in("core/test_tap", "a_list_that_cannot_be_read_denies_and_says_so"),
        alarms=(AlarmKind.WHITELIST_REJECTED,),
    ),
    "tap_in_time": Row(
        "After a grant: whether the tap's turn came within five seconds. Behind a board that "
        "hangs taps queue, and who tapped has gone.",
        tests_in(
            "core/test_tap",
            "a_tap_whose_turn_comes_too_late_opens_nothing_and_says_whose_it_was",
            "a_tap_that_waited_five_seconds_still_counts",
        ),
        standards="GB 50396: card read to actuator within 2 s",
    ),
    "journal_durable": Row(
        "After a grant: whether it was on disk before the door was told. Past the deadline the "
        "door stays locked, or opens and records late, as it is set.",
        tests_in(
            "core/test_tap",
            "the_door_stays_shut_while_the_grant_is_not_durable",
            "fail_secure_a_late_journal_keeps_the_door_shut_and_raises_an_alarm",
            "fail_open_a_late_journal_opens_and_records_later",
        ),
        settings=("door.commit_deadline_ms", "door.fail_policy"),
        alarms=(AlarmKind.JOURNAL_LATE, AlarmKind.JOURNAL_FAILED),
    ),
}
