// What an entry, a door or an alarm says in words. Pure: views in, texts out.
// @ts-check
import { has, moment, t } from "./i18n.js";

/** @typedef {any} Entry an EntryView of the API */
/** @typedef {any} Door a DoorView of the API */

/** Building, unit and room as they are spoken; the journaled place where the person is gone.
 * @param {Entry} entry */
export function placeOf(entry) {
  const person = entry.person;
  if (!person || !(person.building || person.unit || person.room)) return entry.place;
  // Staff have a team where residents have a building: "保洁夜班" is no 栋.
  if (!person.unit && !person.room) return person.building;
  return ["building", "unit", "room"]
    .filter((part) => person[part])
    .map((part) => t(`place.${part}`, { [part]: person[part] }))
    .join(" ");
}

/** @param {Entry} entry */
export function nameOf(entry) {
  if (entry.person) return entry.person.name;
  return t(entry.reason === "credential_unknown" ? "person.unknown" : "person.unlisted");
}

/** What the verdict is, with what became of the door. @param {Entry} entry */
export function verdictOf(entry) {
  if (entry.decision === "denied") return "denied";
  if (entry.outcome === "failed" || entry.outcome === "refused") return entry.outcome;
  if (entry.outcome === "interlocked") return "refused";
  return "granted";
}

/** What the blanks of a sentence are filled with: times as the page writes them (under the fact's
 * own name, and without its unit), codes in words.
 * @param {Record<string, string>} facts */
function filled(facts) {
  const values = { ...facts };
  for (const [name, value] of Object.entries(facts)) {
    if (name.endsWith("_s")) {
      const ms = Number(value) * 1000;
      // A date that no calendar reaches stays the number that it is.
      values[name] = Math.abs(ms) < 8.6e15 ? moment(ms) : value;
      values[name.slice(0, -2)] = values[name];
    }
  }
  for (const list of ["levels", "schedules"]) {
    if (facts[list]) values[list] = facts[list].replaceAll(", ", t("mark.list"));
  }
  if (facts.kind) values.kind = t(`credential.${facts.kind}`);
  if (facts.mode) values.mode = t(`mode.${facts.mode}`);
  return values;
}

/** The reason's sentence and the next step. @param {Entry} entry */
export function reasonOf(entry) {
  const values = { door: entry.door.name, ...filled(entry.detail) };
  const code = `reason.${entry.reason}`;
  return {
    short: has(code) ? t(code) : entry.reason,
    why: t(`${code}.why`, values),
    next: has(`${code}.next`) ? t(`${code}.next`, values) : "",
  };
}

/** What a rule is called and what it saw; a line of an older journal is its own text. @param {any} line */
export function lineOf(line) {
  const [rule, saw] = [`rule.${line.rule}`, `trace.${line.rule}.${line.saw}`];
  return {
    rule: has(rule) ? t(rule) : line.rule,
    saw: has(saw) ? t(saw, filled(line.facts)) : line.saw,
  };
}

/** A change that would have helped. @param {any} remedy */
export function remedyOf(remedy) {
  const values = filled(remedy.facts);
  if (remedy.facts.kind) values.kind = t(`kind.${remedy.facts.kind}`); // as it stands within a sentence
  return t(`remedy.${remedy.change}`, values);
}

/** What someone is; a word that the texts don't have is shown itself. @param {string} role */
export const roleOf = (role) => (has(`person.${role}`) ? t(`person.${role}`) : role);

/** The one thing that a guard must know of a door first. @param {Door} door */
export function doorState(door) {
  if (!door.online) return "offline";
  if (door.phase === "forced" || door.phase === "held") return door.phase;
  if (door.failed) return "failed"; // before the mode: a lockdown that may not hold is none
  if (door.mode_slot === "fire") return "fire";
  if (door.mode === "LockedDown") return "lockdown";
  if (door.mode === "Blocked") return "blocked";
  if (door.phase === "held_warning") return "held_warning";
  if (door.mode === "LockedOpen" || door.mode === "Unlocked") return "free";
  return door.phase;
}

/** How loud a state is. @type {Record<string, "calm" | "busy" | "warn" | "bad" | "off">} */
export const DOOR_TONE = {
  secure: "calm",
  unlocked: "busy",
  open: "busy",
  free: "busy",
  held_warning: "warn",
  lockdown: "warn",
  blocked: "off",
  held: "bad",
  forced: "bad",
  failed: "bad",
  fire: "bad",
  offline: "off",
};

/** @param {Door} door */
export const isOdd = (door) => ["warn", "bad", "off"].includes(DOOR_TONE[doorState(door)]);

/** The state in words: of a barrier, what its arm does. @param {Door} door */
export function stateOf(door) {
  const arm = `armstate.${doorState(door)}`;
  return t(door.kind === "barrier" && has(arm) ? arm : `doorstate.${doorState(door)}`);
}

/** @param {Door} door */
export function contactOf(door) {
  const what = door.kind === "barrier" ? "arm" : "contact";
  return t(`doors.${what}_${door.open === null ? "unknown" : door.open ? "open" : "closed"}`);
}

/** The mode in words: a barrier lets vehicles pass. @param {Door} door */
export function modeOf(door) {
  const arm = `armmode.${door.mode}`;
  return t(door.kind === "barrier" && has(arm) ? arm : `mode.${door.mode}`);
}

/** The vehicle at a barrier, or nothing. @param {Door} door */
export function vehicleOf(door) {
  if (door.under_arm) return t("doors.vehicle_under");
  return door.vehicle ? t("doors.vehicle_waits") : "";
}

/** Whose order the mode is, and until when; nothing where nobody ordered it. @param {Door} door */
export function orderOf(door) {
  if (!door.mode_slot) return "";
  const cause = door.mode_cause || {};
  const who = t(`slot.${door.mode_slot}`, { ref: cause.ref, reason: cause.reason });
  const until = door.mode_until_ms === null ? "" : t("doors.until", { time: moment(door.mode_until_ms) });
  return [who, until].filter(Boolean).join(" · ");
}

/** What an alarm is about: the thing's own name, or the words for a part of the box. @param {any} alarm */
export const aboutOf = (alarm) =>
  has(`thing.${alarm.about.id}`) ? t(`thing.${alarm.about.id}`) : alarm.about.name;

/** What becomes of the journaled detail of an alarm, which is English. "none": it only repeats what
 * the alarm's own sentence says; "words": the installer wrote it for the guard, it is the sentence;
 * "technical": it helps whoever mends it, and is marked as such.
 * @type {Record<string, "none" | "words" | "technical">} */
export const ALARM_DETAIL = {
  door_forced: "none",
  door_held: "none",
  door_failed: "technical",
  device_offline: "technical",
  camera_offline: "technical",
  power_failed: "technical",
  secure_channel: "technical",
  journal_late: "none",
  journal_failed: "technical",
  storage_low: "technical",
  whitelist_rejected: "technical",
  command_rejected: "technical",
  clock_jumped: "technical",
  reader_flooded: "none",
  duress: "none",
  watch_list: "none",
  wrong_tries: "none",
  anti_passback: "none",
  area_over_limit: "none",
  area_under_minimum: "none",
  fire: "none",
  lock_contradicts: "technical",
  tamper: "none",
  input_fault: "technical",
  notice: "words",
};

/** What a guard does next. @param {any} alarm */
export const nextOf = (alarm) =>
  ALARM_DETAIL[alarm.kind] === "words" ? alarm.detail : t(`alarm.${alarm.kind}.next`);

/** Whom an alarm is about, as an entry says it; nothing where it is about nobody. @param {any} alarm */
export function whomOf(alarm) {
  if (!alarm.person && !alarm.place) return "";
  return [nameOf(alarm), placeOf(alarm)].filter(Boolean).join(" · ");
}

/** What only whoever mends it needs; a kind that this page does not know yet hides nothing.
 * @param {any} alarm */
export const technicalOf = (alarm) =>
  (ALARM_DETAIL[alarm.kind] ?? "technical") === "technical" ? alarm.detail : "";
