"""The rows of rules.md that no single tap asks for: doors, the site, alarms and what remembers.

Owns these words and names, as `rules_table` does for the rules of the decision.
"""

from __future__ import annotations

from gatewayd.domain.model import AlarmKind
from gatewayd.reference.rules_table import Row, tests_in

# By its heading.
SITE: dict[str, Row] = {
    "Who wins over whom": Row(
        "Everybody's orders of a door's mode stand beside each other; the first row of the table "
        "that has one governs the door, and without any it is Locked. Lifting a lockdown takes "
        "everybody's. Orders outlive a restart; by a clock that can't be trusted none is over, but "
        "hours count for nothing.",
        tests_in(
            "domain/test_modes",
            "what_governs_is_the_first_of_the_table_that_counts",
            "a_fire_wins_over_every_lockdown",
            "a_lockdown_in_any_slot_wins_over_every_other_order",
            "the_guard_wins_over_the_centre_and_the_centre_over_the_hours",
        )
        + tests_in(
            "core/test_modes",
            "orders_outlive_a_restart_and_those_that_ended_meanwhile_do_not",
            "in_any_order_the_door_is_in_the_end_as_the_journal_says",
        ),
        standards="ONVIF Door Control: DoorMode",
    ),
    "Lockdown": Row(
        "A site, a zone or a door is locked at once and stays so until it is lifted. It waits for "
        "no disk and for no dead board, and is journaled as soon as that can be. The exit buttons "
        "go on working.",
        tests_in(
            "core/test_modes",
            "a_lockdown_of_64_doors_on_four_boards_waits_for_no_dead_board",
            "a_lockdown_locks_while_the_journal_hangs_and_is_kept_when_it_goes_on",
            "a_lockdown_stays_whatever_is_ordered_until_it_is_lifted",
        )
        + tests_in("core/test_doors", "a_lockdown_is_journaled_refuses_and_the_exit_still_opens"),
        settings=("door.zone",),
        standards="ONVIF Door Control: LockDownDoor",
    ),
    "Fire": Row(
        "The fire input frees the escape doors at once, whatever was ordered and whatever the disk "
        "does. They stay free through restarts and lost lines until a person resets the fire, and "
        "not while the input still says fire, or can't be heard.",
        tests_in(
            "core/test_fire",
            "a_fire_frees_the_escape_doors_alarms_and_is_journaled",
            "a_fire_waits_for_no_disk",
            "nothing_locks_an_escape_door_while_there_is_a_fire",
            "a_fire_outlives_a_restart_and_frees_new_escape_doors_too",
            "a_reset_that_cannot_be_journaled_resets_nothing",
        ),
        settings=("fire.controller", "fire.input", "fire.active_means", "door.escape"),
        alarms=(AlarmKind.FIRE, AlarmKind.INPUT_FAULT),
        standards="GB 50396: free ways out in an emergency",
    ),
    "Kinds of interlock": Row(
        "Of an interlock's doors only one may be open, or unlocked. What can't be shown to be shut "
        "counts as open. Only a fire leaves a door of an interlock free; the exit button heeds it "
        "where that is set.",
        tests_in(
            "domain/test_interlock",
            "an_open_door_keeps_the_other_shut",
            "an_unlocked_door_keeps_the_other_shut_only_where_one_may_be_unlocked",
            "a_door_that_was_never_seen_counts_as_open_and_one_seen_last_as_it_was",
        )
        + tests_in(
            "core/test_modes",
            "where_one_may_be_open_the_first_that_opens_locks_the_other",
            "a_door_of_an_interlock_is_never_left_free",
        ),
        settings=("interlock.doors", "interlock.rule", "door.exit_heeds_interlock"),
    ),
    "Kinds of anti-passback": Row(
        "Someone is where their last passage led: the door opened after the grant. Whoever's "
        "anti-passback was reset is neutral, and their next passage is in order wherever it leads.",
        tests_in(
            "core/test_memory",
            "the_area_changes_when_the_door_opened_and_not_before",
            "a_restart_knows_who_was_where_and_what_was_forgiven",
            "forgiving_is_journaled_with_its_reason_and_changes_nothing_if_it_cannot_be",
        )
        + tests_in(
            "domain/test_area",
            "whoever_is_forgiven_is_neutral_and_counts_nowhere",
            "the_counts_are_those_of_a_count_by_hand",
        ),
        settings=("area.anti_passback", "area.forgive_min", "area.admit_unknown"),
    ),
    "Areas that are too full or too empty": Row(
        "After each passage the area's count is compared with its bounds: an alarm for as long as "
        "it is out of them. Who is denied or warned because of them: [occupancy](#14-occupancy).",
        tests_in("core/test_memory", "an_area_alarms_for_as_long_as_its_count_is_wrong")
        + tests_in("domain/test_area", "a_room_where_nobody_works_alone"),
        settings=("area.maximum", "area.minimum"),
        alarms=(AlarmKind.AREA_OVER_LIMIT, AlarmKind.AREA_UNDER_MINIMUM),
    ),
    "Wrong PINs": Row(
        "So many wrong PINs in a row at one reader raise an alarm, and the reader compares none "
        "for a while; so many at one person's cards, at whatever readers, and none of theirs is "
        "compared anywhere for as long. An unknown code counts as a wrong one at its reader. A "
        "right one takes back that person's own wrong ones, and nobody else's: those end with the "
        "pause.",
        tests_in(
            "core/test_memory",
            "wrong_ones_in_a_row_lock_the_reader_for_a_while_and_raise_one_alarm",
            "a_right_one_forgets_the_wrong_ones_before_it",
            "guesses_at_a_stolen_card_are_not_forgotten_for_a_right_pin_of_ones_own",
            "guesses_at_a_stolen_card_are_counted_over_all_readers",
            "unknown_codes_count_as_wrong_ones",
        )
        + tests_in(
            "domain/test_keypad",
            "five_wrong_ones_in_a_row_lock_the_reader_and_alarm_once",
            "a_right_one_takes_back_no_wrong_ones_of_others_nor_unknown_codes",
        ),
        settings=("site.wrong_tries", "site.wrong_tries_pause_s"),
        alarms=(AlarmKind.WRONG_TRIES,),
        standards="GB 50396: alarm after 5 wrong tries in a row at most",
    ),
    "Hours in which a door is unlocked": Row(
        "A door follows a schedule of the whitelist; where it is set so, its hours begin only once "
        "someone with access came in them.",
        tests_in(
            "core/test_hours",
            "a_door_is_unlocked_in_its_hours_and_locked_after_them",
            "hours_need_a_clock_and_a_list_unless_they_are_always",
            "first_person_hours_begin_with_a_grant_in_them_and_with_none_before",
        ),
        settings=("door.unlock_schedule", "door.first_person"),
        records=("schedule.week",),
    ),
    "Forced, held, not opened": Row(
        "A door that opens with no grant and no exit request is forced. One that stays open is "
        "held, with a warning before. A grant or an exit request after which nobody opens is told.",
        tests_in(
            "domain/test_door",
            "a_door_opened_with_no_grant_is_forced_and_clears_when_closed",
            "a_door_held_warns_first_then_alarms_then_clears",
            "the_exit_button_opens_and_shunts_forced_even_in_a_lockdown",
        )
        + tests_in(
            "domain/test_door_watch",
            "a_grant_after_which_nobody_opens_is_told_once_the_time_for_it_is_over",
        ),
        settings=("door.contact_input", "door.exit_input", "door.held_s", "door.pre_alarm_s"),
        alarms=(AlarmKind.DOOR_FORCED, AlarmKind.DOOR_HELD),
        standards="ONVIF Door Control: DoorAlarmState",
    ),
    "Unlocked for how long": Row(
        "A door locks again when its time is over or when it closes after a passage. Who needs "
        "longer has longer.",
        tests_in(
            "domain/test_door",
            "a_door_relocks_when_it_closes",
            "a_shorter_order_does_not_cut_a_longer_one_short",
        )
        + tests_in(
            "domain/test_door_watch", "who_needs_longer_has_longer_and_the_next_one_has_not"
        ),
        settings=("door.unlock_s", "door.extended_s"),
        records=("person.extended_opening",),
        standards="IEC 60839-11-1: opening times of each door",
    ),
    "A lost line": Row(
        "The loss or the return of a board, of the line to the centre or of the console never "
        "releases a door. A lock that did not confirm is told again until it does.",
        tests_in(
            "domain/test_door",
            "an_outage_never_releases_a_door_and_the_relock_stays_due",
            "a_lock_that_failed_is_told_again_until_it_answers",
        )
        + tests_in("core/test_hours", "a_door_that_comes_back_is_told_its_mode"),
        alarms=(AlarmKind.DEVICE_OFFLINE, AlarmKind.DOOR_FAILED),
        standards="GB/T 37078, IEC 60839-11-1: no release by the loss or return of communication",
    ),
    "The lock's own word, tampering, broken wires": Row(
        "A lock whose contact says otherwise than it was told, a tamper contact and a cut or "
        "shorted wire are alarms; none of them opens a door.",
        tests_in(
            "domain/test_door_watch",
            "a_lock_that_says_otherwise_than_it_was_told_is_an_alarm_after_two_seconds",
            "tampering_alarms_once_and_clears",
            "a_contact_whose_line_is_cut_tells_nothing_and_accuses_nobody",
        ),
        settings=("door.lock_input", "door.tamper_input"),
        alarms=(AlarmKind.LOCK_CONTRADICTS, AlarmKind.TAMPER, AlarmKind.INPUT_FAULT),
    ),
    "Alarms that nothing hides": Row(
        "Duress, a forced door and a fire are each told anew and can't be shelved. All others "
        "fold: however an input chatters, a guard hears of it six times an hour at most.",
        tests_in(
            "core/test_alarm_desk",
            "each_duress_forced_door_and_fire_has_an_event_of_its_own",
            "what_may_not_be_shelved_is_refused_with_why",
            "ten_thousand_transitions_in_an_hour_are_one_alarm_and_an_event_a_minute",
            "what_nobody_takes_is_escalated_once_to_each",
        ),
        settings=("alarms.escalate_min",),
        alarms=(AlarmKind.DURESS, AlarmKind.DOOR_FORCED, AlarmKind.FIRE),
        standards="ISA-18.2, EEMUA 191",
    ),
    "What readers show": Row(
        "A reader with a light, a buzzer or a display tells what happens; the warning of a held "
        "door sounds there until the door is shut. Duress shows as any grant.",
        tests_in(
            "system/test_osdp_gate",
            "a_card_opens_and_the_reader_shows_green_with_the_open_lock",
            "a_held_door_sounds_the_reader_until_it_is_shut",
            "duress_shows_nothing_of_it_at_the_reader",
        )
        + tests_in("domain/test_signs", "a_reader_rests_in_what_matters_most"),
        settings=("reader.signs",),
    ),
    "Attacks on a reader's line": Row(
        "A secure channel that is attacked or can't be made takes the reader out of service, and "
        "nothing that came is believed.",
        tests_in(
            "system/test_osdp_gate",
            "a_forged_card_on_the_wires_opens_nothing_and_raises_an_alarm",
            "a_reader_that_is_opened_raises_the_tamper_alarm",
        ),
        alarms=(AlarmKind.SECURE_CHANNEL, AlarmKind.TAMPER, AlarmKind.POWER_FAILED),
        standards="IEC 60839-11-5 (OSDP 2.2), secure channel",
    ),
    "Linkages": Row(
        "When this event, then these actions. One that could set itself off again is refused by "
        "check-config; none unlocks a door that its mode forbids.",
        tests_in(
            "domain/test_linkage",
            "kind_subject_and_alarm_must_fit",
            "linkages_without_a_loop_come_to_an_end_and_every_loop_goes_round",
        )
        + tests_in("core/test_linkages", "no_linkage_opens_a_door_that_its_mode_keeps_shut"),
        settings=("linkage.when", "linkage.if_mode", "linkage.schedule", "linkage.then"),
        alarms=(AlarmKind.NOTICE,),
    ),
}
