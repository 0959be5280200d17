// What is wrong, the most urgent first, and who takes it.
// @ts-check
import { html } from "../../vendor/htm-preact.js";
import { ago, clockTime, shortTime, t } from "../i18n.js";
import { Icon } from "../icons.js";
import { acknowledge, unshelve } from "../orders.js";
import { boxNow, change, state, waitingAlarms } from "../store.js";
import { aboutOf, nextOf, technicalOf, whomOf } from "../words.js";

export function AlarmsScreen() {
  const shelved = state.alarms.filter((alarm) => alarm.shelved_by !== null);
  const listed = state.alarms.filter((alarm) => alarm.shelved_by === null);
  return html`
    <section class="screen">
      <div class="screen-head">
        <h1 tabindex="-1" id="alarms-title">${t("alarms.title")}</h1>
        <p class="summary">${summary(listed)}</p>
      </div>
      ${listed.length === 0 && html`<div class="empty big">
        <${Icon} name="granted" /><p>${t("alarms.none")}</p><p class="lead">${t("alarms.none_lead")}</p></div>`}
      <ol class="queue">${listed.map((alarm) => html`<${Alarm} key=${alarm.alarm_id} alarm=${alarm} />`)}</ol>
      ${shelved.length > 0 && html`<div class="shelf">
        <h2>${t("alarms.shelved_title")}</h2><p class="summary">${t("alarms.shelved_lead")}</p>
        <ol class="queue">${shelved.map((alarm) => html`<${Alarm} key=${alarm.alarm_id} alarm=${alarm} />`)}</ol>
      </div>`}
    </section>
  `;
}

/** @param {any[]} listed */
function summary(listed) {
  const count = waitingAlarms().length;
  if (count) return t("alarms.waiting", { count });
  return listed.length ? t("alarms.all_taken") : "";
}

/** @param {any} alarm */
function standing(alarm) {
  if (alarm.shelved_by !== null) return "shelved";
  return alarm.acknowledged_by === null ? "waiting" : "taken";
}

/** @param {{ alarm: any }} props */
function Alarm({ alarm }) {
  const stands = standing(alarm);
  const Actions = ACTIONS[stands];
  return html`
    <li class=${`alarm ${alarm.priority} ${stands}`} data-alarm=${alarm.alarm_id}>
      <span class="alarm-priority"><${Icon} name=${ICONS[alarm.priority]} />${t(`priority.${alarm.priority}`)}</span>
      <${AlarmPicture} alarm=${alarm} />
      <div class="alarm-body">
        <h2>${t(`alarm.${alarm.kind}`)}<span class="alarm-about">${aboutOf(alarm)}</span></h2>
        ${whomOf(alarm) && html`<p class="alarm-whom">${whomOf(alarm)}</p>`}
        <p class="alarm-next">${nextOf(alarm)}</p>
        ${stands === "waiting" && alarm.escalated_to && html`<p class="alarm-escalated">
          <${Icon} name="warn" />${t(`alarms.escalated.${alarm.escalated_to}`)}</p>`}
        <p class="alarm-facts">
          <span>${t("alarms.since", { time: clockTime(alarm.raised_ms) })} · ${ago(alarm.raised_ms, boxNow())}</span>
          <span>${t(alarm.active ? "alarms.active" : "alarms.over")}</span>
          ${alarm.repeats > 0 && html`<span class="alarm-repeats">${t("alarms.repeats", { count: alarm.repeats })}${" · "}${
            t("alarms.last", { time: clockTime(alarm.last_ms) })}</span>`}
          ${alarm.silent && html`<span><${Icon} name="mute" /> ${t("alarms.silent")}</span>`}
        </p>
        ${technicalOf(alarm) && html`<p class="alarm-technical">${t("alarms.technical")}${" "}<span
          lang="en">${technicalOf(alarm)}</span></p>`}
      </div>
      <div class="alarm-actions"><${Actions} alarm=${alarm} /></div>
    </li>
  `;
}

/** @type {Record<string, string>} */
const ICONS = { critical: "forced", high: "warn", medium: "bell", low: "bell" };

/** @param {{ alarm: any }} props */
const Take = ({ alarm }) => html`
  <button class="primary" id=${`take-${alarm.alarm_id}`} disabled=${!state.connected}
    onClick=${() => acknowledge(alarm)}>${t("alarms.acknowledge")}</button>
  <div class="alarm-more">
    <button disabled=${!state.connected} onClick=${() => change({ dialog: { kind: "note", alarm } })}>
      ${t("alarms.with_note")}</button>
    <${ShelveButton} alarm=${alarm} />
  </div>
`;

/** @param {{ alarm: any }} props */
function Taken({ alarm }) {
  const mine = alarm.acknowledged_by === state.session.operator;
  const name = mine ? `${alarm.acknowledged_by} (${t("alarms.you")})` : alarm.acknowledged_by;
  return html`
    <p class="taken-by"><${Icon} name="granted" />${t("alarms.taken_by", { name })}</p>
    <${ShelveButton} alarm=${alarm} />
  `;
}

/** @param {{ alarm: any }} props */
const ShelveButton = ({ alarm }) => alarm.shelvable && html`
  <button disabled=${!state.connected} onClick=${() => change({ dialog: { kind: "shelve", alarm } })}>
    ${t("alarms.shelve")}</button>
`;

/** @param {{ alarm: any }} props */
const Shelved = ({ alarm }) => html`
  <p class="shelved-by">${t("alarms.shelved_by", { name: alarm.shelved_by, reason: alarm.shelved_reason })}</p>
  <p class="shelved-until">${t("alarms.shelved_until", { time: shortTime(alarm.shelved_until_ms) })}</p>
  <button disabled=${!state.connected} onClick=${() => void unshelve(alarm)}>${t("alarms.unshelve")}</button>
`;

const ACTIONS = { waiting: Take, taken: Taken, shelved: Shelved };

/** @param {{ alarm: any }} props */
function AlarmPicture({ alarm }) {
  const picture = alarm.pictures[0];
  if (!picture) return html`<span class="alarm-picture empty-thumb"><${Icon} name="camera" /></span>`;
  const title = t("live.picture_of", { camera: picture.camera.name, time: clockTime(alarm.raised_ms) });
  return html`<button class="alarm-picture" aria-label=${`${t("live.enlarge")}: ${title}`}
    onClick=${() => change({ dialog: { kind: "picture", picture, title } })}>
    <img src=${picture.url} alt="" loading="lazy" /></button>`;
}
