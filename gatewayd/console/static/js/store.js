// All that the page knows, in one object; a change repaints. Owns no request and no element.
// @ts-check

const MAX_ENTRIES = 400; // kept in the page; older ones are asked for again

/** @typedef {"live" | "doors" | "alarms" | "system"} Screen */

export const state = {
  /** @type {any} */ session: null,
  /** @type {Screen} */ screen: "live",
  /** @type {any[]} newest first */ entries: [],
  /** @type {any[]} arrived while the list was held still */ waiting: [],
  /** @type {number | null | undefined} cursor of the older ones; null: there are none */
  nextBefore: undefined,
  loadingOlder: false,
  deniedOnly: false,
  held: false,
  /** @type {number | null} seq of the entry that was pinned */ pinned: null,
  /** @type {any[]} */ doors: [],
  /** @type {any[]} */ alarms: [],
  /** @type {any[]} */ areas: [],
  /** @type {any} */ link: null,
  /** @type {any} */ whitelist: null,
  /** @type {string | null} */ epoch: null,
  /** the box's clock minus this machine's */ clockOffset: 0,
  clockTrusted: true,
  connected: false,
  /** @type {number | null} when the page last heard the box, while it does not */ lostSince: null,
  /** @type {any} what a dialog shows; null: none is open */ dialog: null,
  /** @type {{ id: number, tone: "good" | "bad", text: string } | null} */ notice: null,
  /** @type {"off" | "on"} browsers want a click before a sound */ sound: "off",
  mutedUntil: 0,
  theme: "dark",
  announcement: "",
  tick: 0,
};

/** @type {Set<() => void>} */
const listeners = new Set();
let scheduled = false;

/** @param {() => void} listener */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Repaint once, however much changed. @param {Partial<typeof state>} [changes] */
export function change(changes = {}) {
  Object.assign(state, changes);
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    for (const listener of listeners) listener();
  });
}

/** The box's time, as far as this page knows it. */
export const boxNow = () => Date.now() + state.clockOffset;

/** @param {any} entry */
const wanted = (entry) => !state.deniedOnly || entry.decision === "denied";

/**
 * An entry that is new, or that grew. One that is shown stays where it is; a new one waits while
 * the list is held still. The same entry twice is one entry.
 * @param {any} entry
 */
export function takeEntry(entry) {
  for (const list of [state.entries, state.waiting]) {
    const at = list.findIndex((one) => one.seq === entry.seq);
    if (at >= 0) {
      list[at] = entry;
      change();
      return;
    }
  }
  if (!wanted(entry)) return;
  // What grew but was never shown is older than the page: it comes with its own page of entries.
  const oldest = state.entries.at(-1);
  if (oldest && entry.seq < oldest.seq && state.nextBefore !== null) return;
  const list = state.held ? state.waiting : state.entries;
  const at = list.findIndex((one) => one.seq < entry.seq);
  list.splice(at < 0 ? list.length : at, 0, entry);
  if (list.length > MAX_ENTRIES) {
    list.length = MAX_ENTRIES;
    if (list === state.entries) state.nextBefore = list[MAX_ENTRIES - 1].seq;
  }
  change();
}

/** Let in what waited. */
export function release() {
  if (!state.held && !state.waiting.length) return;
  state.held = false;
  const waiting = state.waiting;
  state.waiting = [];
  for (const entry of waiting.reverse()) takeEntry(entry);
  change();
}

/** Keep the list still: the hand is about to click. */
export function hold() {
  if (!state.held) change({ held: true });
}

/** @param {any[]} older a page of entries, newest first @param {number | null} nextBefore */
export function addOlder(older, nextBefore) {
  const known = new Set([...state.entries, ...state.waiting].map((entry) => entry.seq));
  state.entries.push(...older.filter((entry) => !known.has(entry.seq)));
  change({ nextBefore, loadingOlder: false });
}

/** @param {any} door */
export function takeDoor(door) {
  change({ doors: state.doors.map((one) => (one.id === door.id ? door : one)) });
}

/** What the big panel shows: the pinned entry, else the newest that is shown. */
export function shownEntry() {
  const pinned = state.entries.find((entry) => entry.seq === state.pinned);
  return pinned || state.entries[0] || null;
}

/** Alarms that somebody should take now, the most urgent first. */
export const waitingAlarms = () =>
  state.alarms.filter((alarm) => alarm.acknowledged_by === null && alarm.shelved_by === null);

let notices = 0;
const NOTICE_MS = 6_000;

/** A sentence at the foot of the page, for a while. @param {"good" | "bad"} tone @param {string} text */
export function notify(tone, text) {
  notices += 1;
  const id = notices;
  change({ notice: { id, tone, text } });
  setTimeout(() => {
    if (state.notice?.id === id) change({ notice: null });
  }, NOTICE_MS);
}
