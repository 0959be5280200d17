// Entries as they happen: a list that never moves under the hand, and the newest one large.
// @ts-check
import { Component, html } from "../../vendor/htm-preact.js";
import { get } from "../api.js";
import { clockTime, currentLanguage, day, t } from "../i18n.js";
import { Icon, VERDICT_ICON } from "../icons.js";
import { addOlder, boxNow, change, hold, release, shownEntry, state } from "../store.js";
import { reload, tell } from "../stream.js";
import { nameOf, placeOf, reasonOf, verdictOf } from "../words.js";
import { EntryPanel, Thumbnail } from "./entry.js";

const STILL_MS = 20_000; // a pointer that rests this long is not about to click
const OLDER = 60;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let resting;

/** The pointer or the focus is in the list: keep it still, for as long as something moves. */
function stir() {
  hold();
  clearTimeout(resting);
  resting = setTimeout(release, STILL_MS);
}

/** @param {any} event */
function leave(event) {
  const list = event.currentTarget;
  const inside = list.matches(":hover") || list.contains(event.relatedTarget);
  if (inside && event.type !== "pointerleave") return;
  if (event.type === "pointerleave" && list.contains(document.activeElement)) return;
  clearTimeout(resting);
  release();
}

export const LiveScreen = () => html`
  <section class="live">
    <div class="live-list" onPointerMove=${stir} onPointerLeave=${leave} onFocusIn=${stir}
      onFocusOut=${leave} onKeyDown=${moveInList}>
      <div class="screen-head">
        <h1 tabindex="-1">${t("live.title")}</h1>
        <${FlowState} />
        <${Filter} />
      </div>
      <${NewEntries} />
      <div class="scroller">
        <ol class="entries" aria-label=${t("live.title")}>
          ${state.entries.map((entry) => html`<${Row} key=${entry.seq} entry=${entry}
            pinned=${state.pinned === entry.seq} language=${currentLanguage()} />`)}
        </ol>
        <${Foot} />
      </div>
    </div>
    <${EntryPanel} entry=${shownEntry()} />
  </section>
`;

function FlowState() {
  if (!state.connected) return html`<span class="flow bad">${t("live.not_live")}</span>`;
  if (state.held) return html`<span class="flow warn">${t("live.paused")}</span>`;
  return html`<span class="flow good"><span class="pulse" aria-hidden="true"></span>${t("live.flowing")}</span>`;
}

const Filter = () => html`
  <div class="segments" role="group" aria-label=${t("live.filter_label")}>
    ${[false, true].map((denied) => html`
      <button key=${denied} aria-pressed=${state.deniedOnly === denied}
        onClick=${() => setFilter(denied)}>
        ${t(denied ? "live.filter_denied" : "live.filter_all")}</button>`)}
  </div>
`;

/** @param {boolean} deniedOnly */
export async function setFilter(deniedOnly) {
  if (state.deniedOnly === deniedOnly) return;
  change({ deniedOnly });
  await reload().catch(tell);
}

/** Back to what happens now. */
export function toNow() {
  change({ pinned: null });
  release();
  document.querySelector(".scroller")?.scrollTo({ top: 0 });
}

const NewEntries = () => html`
  <div class="new-entries">
    ${state.waiting.length > 0 && html`<button class="primary" onClick=${toNow} data-test="new">
      ↑ ${t("live.new", { count: state.waiting.length })} <kbd aria-hidden="true">J</kbd></button>`}
  </div>
`;

/** One entry in the list; it paints again only when it, or the language, changed. */
class Row extends Component {
  /** @param {any} next */
  shouldComponentUpdate(next) {
    const { entry, pinned, language } = /** @type {any} */ (this).props;
    return next.entry !== entry || next.pinned !== pinned || next.language !== language;
  }

  /** @param {any} props */
  render({ entry, pinned }) {
    const verdict = verdictOf(entry);
    const reason = reasonOf(entry);
    const today = day(entry.wall_ms) === day(boxNow());
    return html`
      <li class=${`entry ${verdict}`} data-seq=${entry.seq}>
        <button class="entry-button" aria-pressed=${pinned} onClick=${() => pin(entry)}>
          <span class="entry-time"><time>${clockTime(entry.wall_ms)}</time>
            ${!today && html`<span class="entry-day">${day(entry.wall_ms)}</span>`}</span>
          <${Thumbnail} entry=${entry} />
          <span class="entry-who">
            <span class="entry-name">${nameOf(entry)}</span>
            <span class="entry-place">${placeOf(entry) || entry.credential.masked}</span>
          </span>
          <span class="entry-where">
            <span class="entry-door">${entry.door.name}</span>
            <span class="entry-direction"><${Icon} name=${entry.direction} />${t(`direction.${entry.direction}`)}</span>
          </span>
          <span class="entry-verdict">
            <span class="verdict"><${Icon} name=${VERDICT_ICON[verdict]} />${t(`verdict.${verdict}`)}</span>
            ${entry.decision === "denied" && html`<span class="entry-reason">${reason.short}</span>`}
            ${entry.warned && html`<span class="entry-reason">${t("verdict.warned")}</span>`}
          </span>
        </button>
      </li>
    `;
  }
}

/** @param {any} entry */
function pin(entry) {
  change({ pinned: state.pinned === entry.seq ? null : entry.seq });
}

/** Up and down from row to row. @param {KeyboardEvent} event */
function moveInList(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = [...document.querySelectorAll(".entry-button")];
  const at = rows.indexOf(/** @type {Element} */ (document.activeElement));
  const to = event.key === "ArrowDown" ? at + 1 : Math.max(at - 1, 0);
  const row = /** @type {HTMLElement | undefined} */ (rows[Math.min(to, rows.length - 1)]);
  if (!row) return;
  event.preventDefault();
  row.focus();
}

function Foot() {
  if (state.nextBefore === undefined) return html`<p class="empty">${t("live.loading")}</p>`;
  if (!state.entries.length) {
    return html`<p class="empty">${t(state.deniedOnly ? "live.empty_denied" : "live.empty")}</p>`;
  }
  if (state.nextBefore === null) return html`<p class="list-end">${t("live.end")}</p>`;
  return html`<button class="older" onClick=${loadOlder} disabled=${state.loadingOlder}>
    ${t(state.loadingOlder ? "live.loading" : "live.older")}</button>`;
}

async function loadOlder() {
  change({ loadingOlder: true });
  const filter = state.deniedOnly ? "&decision=denied" : "";
  try {
    const page = await get(`/entries?limit=${OLDER}&before=${state.nextBefore}${filter}`);
    addOlder(page.entries, page.next_before);
  } catch (error) {
    change({ loadingOlder: false });
    tell(error);
  }
}
