// One entry, large: the picture, who, where, the verdict in a sentence and the next step.
// @ts-check
import { html, useEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { get } from "../api.js";
import { clockTime, moment, t } from "../i18n.js";
import { Icon, VERDICT_ICON } from "../icons.js";
import { change, state } from "../store.js";
import { lineOf, nameOf, placeOf, reasonOf, remedyOf, roleOf, verdictOf } from "../words.js";
import { toNow } from "./live.js";

const FRESH_MS = 8_000; // a picture that has not come by then does not come

/** @param {any} entry */
const mayStillCome = (entry) =>
  Date.now() + state.clockOffset - entry.wall_ms < FRESH_MS && entry.pictures.length === 0;

/** Why there is none, as a text's key. @param {any} entry */
function noPicture(entry) {
  if (!entry.has_camera) return "live.no_camera";
  return mayStillCome(entry) ? "live.picture_waiting" : "live.no_picture";
}

/** @param {{ entry: any }} props */
export function Thumbnail({ entry }) {
  const picture = entry.pictures[0];
  if (!picture) return html`<span class="thumb empty-thumb"><${Icon} name="camera" /></span>`;
  return html`<span class="thumb"><img src=${picture.url} alt="" loading="lazy" decoding="async" /></span>`;
}

/** @param {any} entry */
export function enlarge(entry) {
  const picture = entry?.pictures[0];
  if (!picture) return;
  const title = t("live.picture_of", { camera: picture.camera.name, time: moment(entry.wall_ms) });
  change({ dialog: { kind: "picture", picture, title } });
}

/** @param {{ entry: any }} props */
export function EntryPanel({ entry }) {
  if (!entry) return html`<aside class="panel"></aside>`;
  const verdict = verdictOf(entry);
  const reason = reasonOf(entry);
  return html`
    <aside class=${`panel ${verdict}`} aria-label=${t("live.details")}>
      <${Picture} entry=${entry} />
      <div class="panel-verdict">
        <${Icon} name=${VERDICT_ICON[verdict]} />
        <strong>${t(`verdict.${verdict}`)}</strong>
        ${entry.decision === "denied" && html`<span>${reason.short}</span>`}
        ${entry.warned && html`<span>${t("verdict.warned")}</span>`}
        ${state.pinned === entry.seq && html`<button class="follow" onClick=${toNow}>${t("live.follow")}</button>`}
      </div>
      <div class="panel-body">
        <${Who} entry=${entry} />
        ${entry.decision === "denied" && html`<${Reason} reason=${reason} />`}
        ${entry.recorded_late && html`<p class="remark">${t("live.late")}</p>`}
        ${!entry.wall_trusted && html`<p class="remark">${t("live.clock")}</p>`}
        <${OpenHere} entry=${entry} />
        <${Facts} entry=${entry} />
        <${Trace} key=${entry.seq} seq=${entry.seq} />
      </div>
    </aside>
  `;
}

/** @param {{ entry: any }} props */
function Picture({ entry }) {
  const picture = entry.pictures[0];
  if (!picture) {
    return html`<div class="panel-picture none"><${Icon} name="camera" /><span>${t(noPicture(entry))}</span></div>`;
  }
  const caption = t("live.picture_of", { camera: picture.camera.name, time: clockTime(entry.wall_ms) });
  return html`
    <button class="panel-picture" onClick=${() => enlarge(entry)} aria-label=${`${t("live.enlarge")}: ${caption}`}>
      <img src=${picture.url} alt=${caption} />
      <span class="caption">${caption}</span>
      <span class="enlarge"><${Icon} name="enlarge" /><kbd>P</kbd></span>
    </button>
  `;
}

/** The face is a place-holder with the family name until portraits come with the directory.
 * @param {{ entry: any }} props */
function Who({ entry }) {
  const person = entry.person;
  const initial = person ? [...person.name][0] : "?";
  return html`
    <div class="who">
      <span class="portrait" aria-hidden="true">${initial}</span>
      <div>
        <p class="who-name">${nameOf(entry)}
          ${person && html`<span class="tag">${roleOf(person.role)}</span>`}</p>
        <p class="who-place">${placeOf(entry) || (person ? t("place.none") : entry.credential.masked)}</p>
      </div>
    </div>
  `;
}

/** @param {{ reason: { why: string, next: string } }} props */
const Reason = ({ reason }) => html`
  <div class="reason">
    <p class="why">${reason.why}</p>
    ${reason.next && html`<p class="next"><span class="next-label">${t("live.next_step")}</span>${reason.next}</p>`}
  </div>
`;

/** Not where the next step says that the door stays shut. @param {{ entry: any }} props */
function OpenHere({ entry }) {
  const door = state.doors.find((one) => one.id === entry.door.id);
  if (!door || entry.decision !== "denied" || entry.reason === "on_watch_list") return null;
  return html`<button class="wide-button" disabled=${!state.connected}
    onClick=${() => change({ dialog: { kind: "open", door } })}>
    <${Icon} name="unlocked" />${t("live.open_door", { door: door.name })}</button>`;
}

/** @param {{ entry: any }} props */
function Facts({ entry }) {
  const facts = [
    ["time", moment(entry.wall_ms, true)],
    ["door", `${entry.door.name} · ${t(`direction.${entry.direction}`)}`],
    ["reader", entry.access_point.name],
    ["credential", `${t(`credential.${entry.credential.kind}`)} ${entry.credential.masked}`],
    ["seq", entry.seq],
    ["list", entry.whitelist_revision],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`
    <div key=${name}><dt>${t(`live.field_${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** The key for how it was decided: as a click on it. */
export const toggleTrace = () => /** @type {HTMLElement | null} */ (document.querySelector(".trace summary"))?.click();

/** Each rule that was tried and what would have helped, fetched when it is asked for, and brought
 * into sight: it may open below the fold.
 * @param {{ seq: number }} props */
function Trace({ seq }) {
  const details = useRef(/** @type {HTMLElement | null} */ (null));
  const [open, setOpen] = useState(false);
  const [detail, setDetail] = useState(/** @type {any} */ ({ trace: [], remedies: [] }));
  useEffect(() => {
    if (!open) return;
    get(`/entries/${seq}`).then(setDetail, () => {});
  }, [open]);
  useEffect(() => {
    if (open) details.current?.scrollIntoView({ block: "nearest" });
  }, [open, detail]);
  return html`
    <details class="trace" ref=${details} open=${open} onToggle=${(/** @type {any} */ event) => setOpen(event.target.open)}>
      <summary>${t("live.why")}<kbd aria-hidden="true">W</kbd></summary>
      <ol>${detail.trace.map((/** @type {any} */ line) => html`<${Line} key=${line.rule} line=${line} />`)}</ol>
      ${detail.remedies.length > 0 && html`<p class="remedies">${t(detail.remedies.length > 1 ? "live.remedies" : "live.remedy")}</p>
        <ul>${detail.remedies.map((/** @type {any} */ remedy) => html`
          <li key=${remedy.change}>${remedyOf(remedy)}</li>`)}</ul>`}
    </details>
  `;
}

const RESULT_ICON = { pass: "granted", warn: "warn", fail: "denied" };

/** @param {{ line: any }} props */
function Line({ line }) {
  const { rule, saw } = lineOf(line);
  return html`
    <li class=${line.result}>
      <${Icon} name=${RESULT_ICON[/** @type {"pass" | "warn" | "fail"} */ (line.result)]} />
      <span class="sr">${t(`live.trace_${line.result}`)}</span>
      <span class="rule">${rule}</span><span>${saw}</span></li>
  `;
}
