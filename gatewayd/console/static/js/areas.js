// Areas: what an operator may ask of them, and how it is told what came of it. Owns no element.
// @ts-check
import { get, order } from "./api.js";
import { t } from "./i18n.js";
import { may } from "./orders.js";
import { change, notify, shownEntry, state } from "./store.js";
import { tell } from "./stream.js";

/** @typedef {{ person_id?: string, area_id?: string, all?: true }} Target */

export const mayForgive = () => may("POST /api/v1/areas/forgive");

/** Who is in the area, in a dialog that can be printed. @param {any} area */
export async function showPeople(area) {
  try {
    const told = await get(`/areas/${encodeURIComponent(area.id)}/people`);
    change({ dialog: { kind: "people", told } });
  } catch (error) {
    tell(error);
  }
}

/** @param {Target} target @param {string} who @param {string} reason */
export async function forgive(target, who, reason) {
  change({ dialog: null });
  try {
    await order("/areas/forgive", { ...target, reason });
    notify("good", t("forgive.done", { who }));
  } catch (error) {
    tell(error);
  }
}

/** @param {Target} target @param {string} who */
export const askToForgive = (target, who) => change({ dialog: { kind: "forgive", target, who } });

/** The key for forgiving: at the live list whoever is shown, if they were denied for where they
 * are; else an area is asked for. */
export function askWhomToForgive() {
  if (!state.connected || !mayForgive()) return;
  const entry = state.screen === "live" ? shownEntry() : null;
  if (entry?.person && ["anti_passback", "whereabouts_unknown"].includes(entry.reason)) {
    askToForgive({ person_id: entry.person.id }, entry.person.name);
  } else if (state.areas.length) {
    change({ dialog: { kind: "areas", then: "forgive" } });
  }
}

/** The key for a head count: of the one area that there is, or of the one that is chosen. */
export function askWhomToCount() {
  if (!state.connected || !state.areas.length) return;
  if (state.areas.length === 1) void showPeople(state.areas[0]);
  else change({ dialog: { kind: "areas", then: "people" } });
}

/** Out of its bounds: an alarm says so too. @param {any} area */
export function isOutOfBounds(area) {
  const few = area.minimum !== null && area.inside > 0 && area.inside < area.minimum;
  return few || (area.maximum !== null && area.inside > area.maximum);
}

/** By building, in the order that they came in. @param {any[]} people */
export function byBuilding(people) {
  /** @type {Map<string, any[]>} */
  const groups = new Map();
  for (const one of people) {
    const { building = "", unit = "", room = "" } = one.person || {};
    // Staff have a team where residents have a building, as in words.js.
    const name = unit || room ? t("place.building", { building }) : building || t("areas.no_place");
    groups.set(name, [...(groups.get(name) || []), one]);
  }
  return [...groups].map(([building, within]) => ({ building, within }));
}
