// Every door as it stands, and what may be done with it.
// @ts-check
import { html } from "../../vendor/htm-preact.js";
import { Areas } from "./areas.js";
import { t } from "../i18n.js";
import { ARM_ICON, DOOR_ICON, Icon } from "../icons.js";
import { mayLockDown, mayOrderModes, mayResetFire } from "../orders.js";
import { change, state } from "../store.js";
import { DOOR_TONE, contactOf, doorState, isOdd, modeOf, orderOf, stateOf, vehicleOf } from "../words.js";

export const DoorsScreen = () => html`
  <section class="screen">
    <div class="screen-head">
      <h1 tabindex="-1">${t("doors.title")}</h1>
      <p class="summary">${summary()}</p>
      ${mayLockDown() && html`<${LockdownButtons} />`}
    </div>
    ${state.doors.length === 0 && html`<p class="empty">${t("doors.empty")}</p>`}
    <ul class="tiles" onKeyDown=${moveInTiles}>
      ${state.doors.map((door) => html`<${Tile} key=${door.id} door=${door} />`)}
    </ul>
    <${Areas} />
  </section>
`;

function summary() {
  if (!state.connected) return t("lost.doors");
  const odd = state.doors.filter(isOdd).length;
  return t(odd ? "doors.summary" : "doors.summary_ok", { total: state.doors.length, odd });
}

function LockdownButtons() {
  const down = state.doors.some((door) => door.mode === "LockedDown");
  const all = state.doors.length > 0 && state.doors.every((door) => door.mode === "LockedDown");
  const fire = mayResetFire() && state.doors.some((door) => door.mode_slot === "fire");
  return html`
    <div class="head-actions">
      ${fire && html`<button class="danger" disabled=${!state.connected} onClick=${() => change({ dialog: { kind: "fire" } })}>
        <${Icon} name="fire" />${t("doors.reset_fire")}</button>`}
      ${down && html`<button disabled=${!state.connected} onClick=${() => ask("lift")}>
        <${Icon} name="unlocked" />${t("doors.lift")}</button>`}
      ${!all && html`<button class="danger" disabled=${!state.connected} onClick=${() => ask("lockdown")}>
        <${Icon} name="lockdown" />${t("doors.lockdown")}</button>`}
    </div>
  `;
}

/** @param {"lockdown" | "lift"} what */
const ask = (what) => change({ dialog: { kind: "lockdown", what } });

/** A door that can't be seen now is shown as unknown, never as what it was.
 * @param {{ door: any }} props */
function Tile({ door }) {
  const known = state.connected;
  const now = doorState(door);
  const words = stateOf(door);
  const icon = (door.kind === "barrier" && ARM_ICON[now]) || DOOR_ICON[now];
  const vehicle = vehicleOf(door);
  return html`
    <li class=${`tile ${known ? DOOR_TONE[now] : "off"}`} data-door=${door.id} data-state=${known ? now : "unknown"}>
      <div class="tile-head">
        <span class="tile-icon"><${Icon} name=${known ? icon : "offline"} /></span>
        <div>
          <h2>${door.name}</h2>
          <p class="tile-state">${known ? words : t("doors.unknown")}</p>
        </div>
        ${mayOrderModes() && html`<button class="quiet tile-mode" disabled=${!known}
          onClick=${() => change({ dialog: { kind: "mode", door } })}
          aria-label=${t("doors.mode_of", { door: door.name })}>${t("doors.mode")}</button>`}
      </div>
      ${known && orderOf(door) && html`<p class="tile-order">${orderOf(door)}</p>`}
      ${known && door.blocked_by && html`
        <p class="tile-order">${t("doors.waits_for", { door: door.blocked_by.name })}</p>`}
      <div class="tile-foot">
        <p class="tile-facts">${known
          ? html`<span>${modeOf(door)}</span><span>${contactOf(door)}</span>
            ${vehicle && html`<span>${vehicle}</span>`}`
          : html`<span>${t("doors.last_known", { state: words })}</span>`}</p>
        <button class="tile-open" disabled=${!known} onClick=${() => change({ dialog: { kind: "open", door } })}
          aria-label=${t("live.open_door", { door: door.name })}>${t("doors.open")}</button>
      </div>
    </li>
  `;
}

/** Arrows from tile to tile. @param {KeyboardEvent} event */
function moveInTiles(event) {
  /** @type {Record<string, number>} */
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow(), ArrowUp: -perRow() };
  const step = steps[event.key];
  if (step === undefined) return;
  const buttons = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".tile-open")]);
  const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  event.preventDefault();
  buttons[Math.min(Math.max(at + step, 0), buttons.length - 1)]?.focus();
}

function perRow() {
  const tiles = [...document.querySelectorAll(".tile")].map((tile) => tile.getBoundingClientRect().top);
  return tiles.filter((top) => top === tiles[0]).length;
}
