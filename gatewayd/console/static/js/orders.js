// What an operator may do, and how it is told what came of it. Owns no element.
// @ts-check
import { order } from "./api.js";
import { shortTime, t } from "./i18n.js";
import { boxNow, change, notify, state, waitingAlarms } from "./store.js";
import { tell } from "./stream.js";

/** @param {string} route "POST /api/v1/…" as the session lists it */
export const may = (route) => state.session.may.includes(route);
export const mayLockDown = () => may("POST /api/v1/doors/lockdown");
export const mayOrderModes = () => may("POST /api/v1/doors/{door_id}/mode");
export const mayResetFire = () => may("POST /api/v1/fire/reset");

/** @param {any} door @param {string} reason */
export async function openDoor(door, reason) {
  change({ dialog: null });
  try {
    const done = await order(`/doors/${encodeURIComponent(door.id)}/unlock`, { reason });
    const tone = done.outcome === "unlocked" ? "good" : "bad";
    const outcome = t(`outcome.${done.outcome}`);
    notify(tone, t("open.done", { door: door.name, outcome }));
  } catch (error) {
    tell(error);
  }
}

/** Of all doors, or of one zone.
 * @param {"lockdown" | "lift"} what @param {string} reason @param {string | null} [zone] */
export async function setLockdown(what, reason, zone = null) {
  change({ dialog: null });
  const path = what === "lockdown" ? "/doors/lockdown" : "/doors/lift-lockdown";
  try {
    const done = await order(path, zone === null ? { reason } : { reason, zone });
    const failed = done.doors.filter((/** @type {any} */ one) => one.outcome !== "unlocked");
    const names = failed.map((/** @type {any} */ one) => doorName(one.door_id)).join(", ");
    if (failed.length) notify("bad", t("order.partly", { failed: failed.length, doors: names }));
    else notify("good", t(`${what}.done`, { count: done.doors.length }));
  } catch (error) {
    tell(error);
  }
}

/** Without a mode the operators' order is taken back.
 * @param {any} door @param {string | null} mode @param {number | null} until_ms @param {string} reason */
export async function setMode(door, mode, until_ms, reason) {
  change({ dialog: null });
  const path = `/doors/${encodeURIComponent(door.id)}/mode`;
  try {
    const done = mode === null
      ? await order(`${path}/withdraw`, { reason })
      : await order(path, { mode, until_ms, reason });
    const said = done.outcome === "unlocked" ? "done" : done.outcome === "refused" ? "kept" : done.outcome;
    notify(said === "done" ? "good" : "bad", t(`modes.${said}`, { door: door.name, mode: t(`mode.${done.mode}`) }));
  } catch (error) {
    tell(error);
  }
}

/** @param {string} reason */
export async function resetFire(reason) {
  change({ dialog: null });
  try {
    await order("/fire/reset", { reason });
    notify("good", t("fire.done"));
  } catch (error) {
    tell(error);
  }
}

/** @param {string} id */
const doorName = (id) => state.doors.find((door) => door.id === id)?.name || id;

/** @param {any} alarm @param {string} [note] */
export async function acknowledge(alarm, note = "") {
  change({ dialog: null });
  try {
    const taken = await order(`/alarms/${encodeURIComponent(alarm.alarm_id)}/acknowledge`, { note });
    replaceAlarm(taken);
    notify("good", t("alarms.done", { alarm: t(`alarm.${alarm.kind}`) }));
  } catch (error) {
    tell(error);
  }
  focusFirstAlarm();
}

/** @param {any} alarm @param {string} reason @param {number} minutes */
export async function shelve(alarm, reason, minutes) {
  change({ dialog: null });
  // A little less than the box allows: this page's clock may be a little ahead of the box's.
  const until_ms = Math.round(boxNow()) + minutes * 60_000 - 5_000;
  try {
    const shelved = await order(`/alarms/${encodeURIComponent(alarm.alarm_id)}/shelve`, { reason, until_ms });
    replaceAlarm(shelved);
    const time = shortTime(shelved.shelved_until_ms);
    notify("good", t("alarms.shelved", { time, alarm: t(`alarm.${alarm.kind}`) }));
  } catch (error) {
    tell(error);
  }
  focusFirstAlarm();
}

/** @param {any} alarm */
export async function unshelve(alarm) {
  try {
    replaceAlarm(await order(`/alarms/${encodeURIComponent(alarm.alarm_id)}/unshelve`, {}));
    notify("good", t("alarms.unshelved", { alarm: t(`alarm.${alarm.kind}`) }));
  } catch (error) {
    tell(error);
  }
  focusFirstAlarm();
}

/** The key for the alarm that has the focus, or else the most urgent. */
export function shelveChosen() {
  if (state.screen !== "alarms" || !state.connected) return;
  const id = document.activeElement?.closest("[data-alarm]")?.getAttribute("data-alarm");
  const alarm = state.alarms.find((one) => one.alarm_id === id) || waitingAlarms()[0];
  if (alarm?.shelvable && alarm.shelved_by === null) change({ dialog: { kind: "shelve", alarm } });
}

/** As the order's answer has it; the stream brings the list's true order. @param {any} alarm */
function replaceAlarm(alarm) {
  const alarms = state.alarms.map((one) => (one.alarm_id === alarm.alarm_id ? alarm : one));
  change({ alarms: alarms.filter((one) => one.active || one.acknowledged_by === null) });
}

/** Enter takes it: the most urgent alarm's button has the focus. */
export function focusFirstAlarm() {
  const first = waitingAlarms()[0];
  setTimeout(() => {
    if (state.screen !== "alarms" || state.dialog) return;
    const button = first && document.getElementById(`take-${first.alarm_id}`);
    (button || document.getElementById("alarms-title"))?.focus();
  });
}

/** @param {"live" | "doors" | "alarms" | "system"} screen */
export function show(screen) {
  change({ screen });
  if (screen === "alarms") focusFirstAlarm();
  else setTimeout(() => document.querySelector("main h1")?.focus());
}
