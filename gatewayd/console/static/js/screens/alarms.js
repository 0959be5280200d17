// What is wrong, the most urgent first, and who takes it.
// @ts-check
import { html } from "../../vendor/htm-preact.js";
import { ago, clockTime, t } from "../i18n.js";
import { Icon } from "../icons.js";
import { acknowledge } from "../orders.js";
import { boxNow, change, state, waitingAlarms } from "../store.js";
import { aboutOf } from "../words.js";

export const AlarmsScreen = () => html`
  <section class="screen">
    <div class="screen-head">
      <h1 tabindex="-1" id="alarms-title">${t("alarms.title")}</h1>
      <p class="summary">${summary()}</p>
    </div>
    ${state.alarms.length === 0 && html`<div class="empty big">
      <${Icon} name="granted" /><p>${t("alarms.none")}</p><p class="lead">${t("alarms.none_lead")}</p></div>`}
    <ol class="queue">${state.alarms.map((alarm) => html`<${Alarm} key=${alarm.alarm_id} alarm=${alarm} />`)}</ol>
  </section>
`;

function summary() {
  const count = waitingAlarms().length;
  if (count) return t("alarms.waiting", { count });
  return state.alarms.length ? t("alarms.all_taken") : "";
}

/** @param {{ alarm: any }} props */
function Alarm({ alarm }) {
  const taken = alarm.acknowledged_by !== null;
  const mine = alarm.acknowledged_by === state.session.operator;
  return html`
    <li class=${`alarm ${alarm.priority} ${taken ? "taken" : "waiting"}`} data-alarm=${alarm.alarm_id}>
      <span class="alarm-priority"><${Icon} name=${ICONS[alarm.priority]} />${t(`priority.${alarm.priority}`)}</span>
      <${AlarmPicture} alarm=${alarm} />
      <div class="alarm-body">
        <h2>${t(`alarm.${alarm.kind}`)}<span class="alarm-about">${aboutOf(alarm)}</span></h2>
        <p class="alarm-next">${t(`alarm.${alarm.kind}.next`)}</p>
        <p class="alarm-facts">
          <span>${t("alarms.since", { time: clockTime(alarm.raised_ms) })} · ${ago(alarm.raised_ms, boxNow())}</span>
          <span>${t(alarm.active ? "alarms.active" : "alarms.over")}</span>
          ${alarm.repeats > 0 && html`<span>${t("alarms.repeats", { count: alarm.repeats })}</span>`}
          ${alarm.detail && html`<span class="alarm-detail">${alarm.detail}</span>`}
        </p>
      </div>
      <div class="alarm-actions">
        ${taken
          ? html`<p class="taken-by"><${Icon} name="granted" />${t("alarms.taken_by", {
              name: mine ? `${alarm.acknowledged_by} (${t("alarms.you")})` : alarm.acknowledged_by,
            })}</p>`
          : html`<${Take} alarm=${alarm} />`}
      </div>
    </li>
  `;
}

/** @type {Record<string, string>} */
const ICONS = { critical: "forced", high: "warn", medium: "bell", low: "bell" };

/** @param {{ alarm: any }} props */
const Take = ({ alarm }) => html`
  <button class="primary" id=${`take-${alarm.alarm_id}`} disabled=${!state.connected}
    onClick=${() => acknowledge(alarm)}>${t("alarms.acknowledge")}</button>
  <button disabled=${!state.connected} onClick=${() => change({ dialog: { kind: "note", alarm } })}>
    ${t("alarms.with_note")}</button>
`;

/** @param {{ alarm: any }} props */
function AlarmPicture({ alarm }) {
  const picture = alarm.pictures[0];
  if (!picture) return html`<span class="alarm-picture empty-thumb"><${Icon} name="camera" /></span>`;
  const title = t("live.picture_of", { camera: picture.camera.name, time: clockTime(alarm.raised_ms) });
  return html`<button class="alarm-picture" aria-label=${`${t("live.enlarge")}: ${title}`}
    onClick=${() => change({ dialog: { kind: "picture", picture, title } })}>
    <img src=${picture.url} alt="" loading="lazy" /></button>`;
}
