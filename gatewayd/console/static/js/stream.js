// The live line to the box: connects, goes on where it stopped, and knows when it is lost.
// @ts-check
import { Problem, get } from "./api.js";
import { clockTime, t } from "./i18n.js";
import { boxNow, change, notify, state, takeDoor, takeEntry } from "./store.js";
import { nameOf, reasonOf } from "./words.js";

const SILENT_MS = 12_000; // the box says something every 5 s
const RETRY_MS = 1_500;
const PAGE = 60;

/** @type {EventSource | null} */
let source = null;
let lastSeq = 0;
let lastHeard = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let retry;

/** Load what is there, then follow what comes. */
export async function begin() {
  await reload();
  connect();
  setInterval(watch, 1_000);
}

/** Everything anew: at the start, and where the filter or the journal changed. */
export async function reload() {
  const filter = state.deniedOnly ? "&decision=denied" : "";
  const page = await get(`/entries?limit=${PAGE}${filter}`);
  lastSeq = Math.max(lastSeq, page.last_seq);
  if (state.epoch !== null && state.epoch !== page.epoch) lastSeq = page.last_seq;
  change({
    entries: page.entries,
    waiting: [],
    nextBefore: page.next_before,
    epoch: page.epoch,
    pinned: null,
  });
}

function connect() {
  clearTimeout(retry);
  source?.close();
  source = new EventSource(`/api/v1/events/stream?after=${lastSeq}`);
  on("entry", (entry) => {
    takeEntry(entry);
    announce(entry);
  });
  on("door", takeDoor);
  on("alarms", ({ alarms }) => change({ alarms }));
  on("areas", ({ areas }) => change({ areas }));
  on("state", takeState);
  on("reset", () => void startOver());
  source.onerror = () => {
    // The browser tries again by itself, unless it was refused: then the session may be over.
    if (source?.readyState === EventSource.CLOSED) void reconnect();
  };
}

/** @param {string} name @param {(data: any) => void} take */
function on(name, take) {
  const from = source;
  source?.addEventListener(name, (message) => {
    if (from !== source) return;
    const event = /** @type {MessageEvent} */ (message);
    lastHeard = Date.now();
    lastSeq = Math.max(lastSeq, Number(event.lastEventId) || 0);
    take(JSON.parse(event.data));
    if (!state.connected) change({ connected: true, lostSince: null });
  });
}

/** @param {any} told */
function takeState(told) {
  if (state.epoch !== null && told.epoch !== state.epoch) {
    void startOver();
    return;
  }
  change({
    doors: told.doors,
    alarms: told.alarms,
    areas: told.areas,
    link: told.link,
    whitelist: told.whitelist,
    clockOffset: told.wall_ms - Date.now(),
    clockTrusted: told.wall_trusted,
  });
}

/** The journal is another one, or an older state of this one: nothing shown counts any more. */
async function startOver() {
  source?.close();
  source = null;
  lastSeq = 0;
  try {
    await reload();
  } catch {
    lost();
  }
  connect();
}

/** Refused: ask why. A session that is over leads to the log-in. */
async function reconnect() {
  try {
    await get("/session");
    retry = setTimeout(connect, RETRY_MS);
  } catch (error) {
    if (error instanceof Problem && error.code === "not-signed-in") location.assign("/login");
    else retry = setTimeout(reconnect, RETRY_MS);
  }
}

/** Once a second: a line that is silent for too long is lost, whatever the browser thinks. */
function watch() {
  change({ tick: state.tick + 1 });
  if (source?.readyState !== EventSource.OPEN && state.connected) lost();
  if (Date.now() - lastHeard <= SILENT_MS) return;
  if (state.connected) lost();
  if (source?.readyState === EventSource.OPEN) {
    lastHeard = Date.now();
    connect();
  }
}

function lost() {
  change({ connected: false, lostSince: lastHeard + state.clockOffset || boxNow() });
}

/** For those who hear the page instead of seeing it: refusals, one sentence each.
 * @param {any} entry */
function announce(entry) {
  if (entry.decision !== "denied") return;
  const who = nameOf(entry);
  const why = reasonOf(entry).short;
  change({ announcement: t("live.announce_denied", { who, where: entry.door.name, why }) });
}

/** A problem in the operator's words; a session that is over leads to the log-in.
 * @param {unknown} error */
export function tell(error) {
  if (!(error instanceof Problem)) throw error;
  if (error.code === "not-signed-in") location.assign("/login");
  const winner = error.code === "already-acknowledged" && error.more.winner;
  notify("bad", winner ? t("alarms.lost_race", { name: winner }) : t(`problem.${error.code}`));
}

/** @param {number} ms */
export const lostText = (ms) => t("lost.since", { time: clockTime(ms) });
