// What asks before it acts: a door and a reason, a lockdown twice over, a note, a picture, the keys.
// @ts-check
import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "./i18n.js";
import { DOOR_ICON, Icon } from "./icons.js";
import { acknowledge, openDoor, resetFire, setLockdown, setMode, shelve } from "./orders.js";
import { boxNow, change, state } from "./store.js";
import { aboutOf, doorState, stateOf } from "./words.js";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const REASONS = { open: 5, lockdown: 4, lift: 3, shelve: 4, modes: 4, fire: 3, forgive: 4 };
const SHELF_MINUTES = [15, 60, 480]; // the box allows 8 hours
const MODES = ["LockedOpen", "Unlocked", "Locked", "Blocked"];
const MINUTES = [30, 120, 480, 0]; // 0: until it is taken back

export const closeDialog = () => change({ dialog: null });

/** @param {{ dialog: any }} props */
export function Dialog({ dialog }) {
  const kinds = {
    open: OpenDialog, lockdown: LockdownDialog, mode: ModeDialog, fire: FireDialog,
    note: NoteDialog, shelve: ShelveDialog, picture: PictureDialog, keys: KeysDialog,
  };
  const Kind = kinds[/** @type {keyof typeof kinds} */ (dialog.kind)];
  return html`<${Kind} ...${dialog} />`;
}

/**
 * A modal dialog: the browser keeps the focus inside and gives it back.
 * @param {{ title: string, children?: any, onKey?: (key: string) => boolean, wide?: boolean }} props
 */
export function Modal({ title, children, onKey, wide }) {
  const element = useRef(null);
  // Before the next event can come: the key after this one must find the dialog open.
  useLayoutEffect(() => {
    const dialog = /** @type {HTMLDialogElement} */ (/** @type {unknown} */ (element.current));
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  /** @param {KeyboardEvent} event */
  const keyed = (event) => {
    const typing = event.target instanceof HTMLInputElement;
    if (typing || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (onKey?.(event.key.toLowerCase())) event.preventDefault();
  };
  /** @param {Event} event */
  const cancel = (event) => {
    event.preventDefault();
    closeDialog();
  };
  return html`
    <dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby="dialog-title"
      onKeyDown=${keyed} onCancel=${cancel}>
      <div class="dialog-head">
        <h2 id="dialog-title">${title}</h2>
        <button class="quiet" onClick=${closeDialog}>${t("common.close")} <kbd aria-hidden="true">Esc</kbd></button>
      </div>
      ${children}
    </dialog>
  `;
}

/** A door by its letter, then the reason by its digit. @param {{ door?: any }} props */
function OpenDialog({ door: given }) {
  const [door, choose] = useState(given || null);
  if (door) {
    const title = t("open.reason_title", { door: door.name });
    return html`<${ReasonStep} key="reason" kind="open" title=${title} hint=${t("open.reason_hint")}
      submit=${t("open.submit")} take=${(/** @type {string} */ reason) => openDoor(door, reason)} />`;
  }
  const onKey = (/** @type {string} */ key) => {
    const chosen = key.length === 1 ? state.doors[LETTERS.indexOf(key)] : undefined;
    if (chosen) choose(chosen);
    return Boolean(chosen);
  };
  return html`
    <${Modal} key="door" title=${t("open.title")} onKey=${onKey}>
      <ul class="choices two">${state.doors.map((one, at) => html`
        <li key=${one.id}><button class="choice" onClick=${() => choose(one)}>
          <kbd>${LETTERS[at]?.toUpperCase()}</kbd>
          <span class="choice-text">${one.name}</span>
          <${Icon} name=${DOOR_ICON[doorState(one)]} />
          <span class="choice-note">${stateOf(one)}</span>
        </button></li>`)}
      </ul>
      <p class="hint">${t("open.hint")}</p>
    <//>
  `;
}

/**
 * Numbered reasons, and one that is written.
 * @param {{ kind: "open" | "lockdown" | "lift" | "shelve" | "modes" | "fire" | "forgive", title: string, hint: string,
 *   submit: string,
 *   take: (reason: string) => void }} props
 */
export function ReasonStep({ kind, title, hint, submit, take }) {
  const [written, write] = useState("");
  const input = useRef(null);
  const reasons = Array.from({ length: REASONS[kind] }, (_, at) => t(`${kind}.reason.${at + 1}`));
  const onKey = (/** @type {string} */ key) => {
    if (key === "0") /** @type {any} */ (input.current)?.focus();
    const reason = reasons[Number(key) - 1];
    if (reason) take(reason);
    return key === "0" || Boolean(reason);
  };
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (written.trim()) take(written.trim());
  };
  return html`
    <${Modal} title=${title} onKey=${onKey}>
      <p class="lead">${hint}</p>
      <ol class="choices">${reasons.map((reason, at) => html`
        <li key=${at}><button class="choice" onClick=${() => take(reason)}>
          <kbd>${at + 1}</kbd><span class="choice-text">${reason}</span></button></li>`)}
      </ol>
      <form class="other" onSubmit=${send}>
        <kbd aria-hidden="true">0</kbd>
        <input ref=${input} value=${written} maxlength="200" aria-label=${t("open.other_label")}
          placeholder=${t("open.other")} onInput=${(/** @type {any} */ event) => write(event.target.value)} />
        <button class="primary" disabled=${!written.trim()}>${submit}</button>
      </form>
    <//>
  `;
}

/** Numbered choices, of which a digit or a click takes one.
 * @param {{ title: string, hint: string, choices: { text: string, note?: string }[],
 *   take: (at: number) => void }} props */
function Choices({ title, hint, choices, take }) {
  const onKey = (/** @type {string} */ key) => {
    const at = Number(key) - 1;
    if (choices[at]) take(at);
    return Boolean(choices[at]);
  };
  return html`
    <${Modal} title=${title} onKey=${onKey}>
      <p class="lead">${hint}</p>
      <ol class="choices">${choices.map((choice, at) => html`
        <li key=${at}><button class="choice" onClick=${() => take(at)}>
          <kbd>${at + 1}</kbd><span class="choice-text">${choice.text}</span>
          ${choice.note && html`<span class="choice-note">${choice.note}</span>`}</button></li>`)}
      </ol>
    <//>
  `;
}

/** Where, if there are zones; a reason; and then once more "yes". @param {{ what: "lockdown" | "lift" }} props */
function LockdownDialog({ what }) {
  const zones = [...new Set(state.doors.map((door) => door.zone).filter(Boolean))].sort();
  const [zone, choose] = useState(/** @type {string | null | undefined} */ (zones.length ? undefined : null));
  const [reason, take] = useState("");
  const within = (/** @type {string | null} */ one) => state.doors
    .filter((door) => one === null || door.zone === one)
    .filter((door) => what === "lockdown" || door.mode === "LockedDown").length;
  if (zone === undefined) {
    const places = [null, ...zones];
    const choices = places.map((one) => ({
      text: one === null ? t("lockdown.where_all") : t("lockdown.where_zone", { zone: one }),
      note: t("lockdown.where_count", { count: within(one) }),
    }));
    return html`<${Choices} key="where" title=${t(`${what}.where_title`)} hint=${t(`${what}.lead`)}
      choices=${choices} take=${(/** @type {number} */ at) => choose(places[at])} />`;
  }
  const count = within(zone);
  if (!reason) {
    return html`<${ReasonStep} key="reason" kind=${what} title=${t(`${what}.title`, { count })}
      hint=${t(`${what}.lead`)} submit=${t(`${what}.confirm`)} take=${take} />`;
  }
  const act = () => setLockdown(what, reason, zone);
  const onKey = (/** @type {string} */ key) => {
    if (key === "y") act();
    return key === "y";
  };
  return html`
    <${Modal} key="confirm" title=${t(`${what}.confirm_title`, { count })} onKey=${onKey}>
      <p class="lead">${t(`${what}.confirm_lead`, { reason })}</p>
      <div class="actions">
        <button class="primary danger" onClick=${act}><kbd>Y</kbd> ${t(`${what}.confirm`)}</button>
        <button onClick=${closeDialog}>${t("common.cancel")}</button>
      </div>
    <//>
  `;
}

/** A mode, how long, and why; or the operators' order is taken back. @param {{ door: any }} props */
function ModeDialog({ door }) {
  const [mode, choose] = useState(/** @type {string | null | undefined} */ (undefined));
  const [minutes, last] = useState(/** @type {number | undefined} */ (undefined));
  if (mode === undefined) {
    const ordered = door.mode_slot === "operator";
    const choices = [...MODES.map((one) => ({ text: t(`mode.${one}`) })), ...(ordered ? [{ text: t("modes.withdraw") }] : [])];
    return html`<${Choices} key="mode" title=${t("modes.title", { door: door.name })} hint=${t("modes.hint")}
      choices=${choices} take=${(/** @type {number} */ at) => choose(MODES[at] ?? null)} />`;
  }
  const words = { door: door.name, mode: mode === null ? t("modes.withdraw") : t(`mode.${mode}`) };
  if (mode !== null && minutes === undefined) {
    const choices = MINUTES.map((one) => ({ text: t(`modes.until.${one}`) }));
    return html`<${Choices} key="until" title=${t("modes.until_title", words)} hint=${t("modes.hint")}
      choices=${choices} take=${(/** @type {number} */ at) => last(MINUTES[at])} />`;
  }
  const until = minutes ? boxNow() + minutes * 60_000 : null;
  return html`<${ReasonStep} key="reason" kind="modes" title=${t("modes.reason_title", words)}
    hint=${t("modes.reason_hint")} submit=${t("modes.submit")}
    take=${(/** @type {string} */ reason) => setMode(door, mode, until, reason)} />`;
}

const FireDialog = () => html`<${ReasonStep} kind="fire" title=${t("fire.reason_title")}
  hint=${t("fire.reason_hint")} submit=${t("fire.submit")} take=${resetFire} />`;

/** @param {{ alarm: any }} props */
function NoteDialog({ alarm }) {
  const [note, write] = useState("");
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    acknowledge(alarm, note.trim());
  };
  const title = t("alarms.note_title", { alarm: `${t(`alarm.${alarm.kind}`)} · ${aboutOf(alarm)}` });
  return html`
    <${Modal} title=${title}>
      <form class="stacked" onSubmit=${send}>
        <label>${t("alarms.note_label")}
          <input value=${note} maxlength="200" autofocus
            onInput=${(/** @type {any} */ event) => write(event.target.value)} /></label>
        <div class="actions"><button class="primary">${t("alarms.acknowledge")}</button></div>
      </form>
    <//>
  `;
}

/** A reason by its digit, then how long by another. @param {{ alarm: any }} props */
function ShelveDialog({ alarm }) {
  const [reason, take] = useState("");
  if (!reason) {
    const title = t("shelve.title", { alarm: `${t(`alarm.${alarm.kind}`)} · ${aboutOf(alarm)}` });
    return html`<${ReasonStep} key="reason" kind="shelve" title=${title} hint=${t("shelve.lead")}
      submit=${t("shelve.submit")} take=${take} />`;
  }
  const onKey = (/** @type {string} */ key) => {
    const minutes = SHELF_MINUTES[Number(key) - 1];
    if (minutes) void shelve(alarm, reason, minutes);
    return Boolean(minutes);
  };
  return html`
    <${Modal} key="time" title=${t("shelve.time_title")} onKey=${onKey}>
      <p class="lead">${t("shelve.time_lead", { reason })}</p>
      <ol class="choices">${SHELF_MINUTES.map((minutes, at) => html`
        <li key=${minutes}><button class="choice" onClick=${() => void shelve(alarm, reason, minutes)}>
          <kbd>${at + 1}</kbd><span class="choice-text">${t(`shelve.minutes.${minutes}`)}</span></button></li>`)}
      </ol>
    <//>
  `;
}

/** @param {{ picture: any, title: string }} props */
const PictureDialog = ({ picture, title }) => html`
  <${Modal} title=${title} wide=${true} onKey=${(/** @type {string} */ key) => key === "p" && (closeDialog(), true)}>
    <img class="large-picture" src=${picture.url} alt=${title} />
  <//>
`;

const KEYS = [
  ["1 – 4", "screens"],
  ["O", "open"],
  ["A", "alarm"],
  ["S", "shelve"],
  ["G", "forgive"],
  ["H", "head_count"],
  ["↑ ↓", "move"],
  ["Enter", "pick"],
  ["F", "filter"],
  ["J", "now"],
  ["P", "picture"],
  ["W", "why"],
  ["M", "mute"],
  ["T", "theme"],
  ["L", "language"],
  ["Esc", "escape"],
  ["?", "help"],
];

const KeysDialog = () => html`
  <${Modal} title=${t("keys.title")}>
    <dl class="keys">${KEYS.map(([key, name]) => html`
      <div key=${name}><dt><kbd>${key}</kbd></dt><dd>${t(`keys.${name}`)}</dd></div>`)}
    </dl>
  <//>
`;
