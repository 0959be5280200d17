// Areas below the doors: how many are inside, who, and forgiving.
// @ts-check
import { html } from "../../vendor/htm-preact.js";
import { everyoneIn } from "../area_dialogs.js";
import { askToForgive, isOutOfBounds, mayForgive, showPeople } from "../areas.js";
import { t } from "../i18n.js";
import { state } from "../store.js";

export const Areas = () => state.areas.length > 0 && html`
  <section class="areas" aria-labelledby="areas-title">
    <h2 id="areas-title">${t("areas.title")}</h2>
    <ul class="tiles">${state.areas.map((area) => html`<${AreaTile} key=${area.id} area=${area} />`)}</ul>
  </section>
`;

/** A count that can't be seen now is shown as unknown. @param {{ area: any }} props */
function AreaTile({ area }) {
  const known = state.connected;
  const tone = !known ? "off" : isOutOfBounds(area) ? "warn" : "calm";
  return html`
    <li class=${`tile area ${tone}`} data-area=${area.id}>
      <div class="tile-head"><div>
        <h3>${area.name}</h3>
        <p class="tile-state">${known ? t("areas.inside", { count: area.inside }) : t("doors.unknown")}</p>
      </div></div>
      <p class="tile-facts">${factsOf(area).map((fact) => html`<span key=${fact}>${fact}</span>`)}</p>
      <div class="area-actions">
        <button disabled=${!known} onClick=${() => void showPeople(area)}
          aria-label=${t("areas.people_of", { area: area.name })}>${t("areas.people")}</button>
        ${mayForgive() && html`<button class="quiet" disabled=${!known}
          onClick=${() => askToForgive({ area_id: area.id }, everyoneIn(area))}
          aria-label=${t("areas.forgive_one", { who: everyoneIn(area) })}>${t("areas.forgive")}</button>`}
      </div>
    </li>
  `;
}

/** @param {any} area */
function factsOf(area) {
  const facts = [t(`areas.passback.${area.anti_passback}`)];
  if (area.maximum !== null) facts.push(t("areas.maximum", { maximum: area.maximum }));
  if (area.minimum !== null) facts.push(t("areas.minimum", { minimum: area.minimum }));
  return facts;
}
