// Dialogs about areas: which one, whom to forgive and why, and who is inside.
// @ts-check
import { html, useState } from "../vendor/htm-preact.js";
import { askToForgive, byBuilding, forgive, mayForgive, showPeople } from "./areas.js";
import { Modal, ReasonStep } from "./dialogs.js";
import { moment, t } from "./i18n.js";
import { state } from "./store.js";
import { placeOf } from "./words.js";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** An area by its letter; where it is about forgiving, everyone is one more choice.
 * @param {{ then: "people" | "forgive" }} props */
function AreasDialog({ then }) {
  const choices = state.areas.map((area) => ({
    text: area.name,
    note: t("areas.inside", { count: area.inside }),
    act: () => (then === "people" ? void showPeople(area) : askToForgive({ area_id: area.id }, everyoneIn(area))),
  }));
  if (then === "forgive") {
    choices.push({ text: t("areas.everyone"), note: "", act: () => askToForgive({ all: true }, t("areas.everyone")) });
  }
  const onKey = (/** @type {string} */ key) => {
    const chosen = key.length === 1 ? choices[LETTERS.indexOf(key)] : undefined;
    chosen?.act();
    return Boolean(chosen);
  };
  return html`
    <${Modal} title=${t(`areas.choose_${then}`)} onKey=${onKey}>
      <ul class="choices two">${choices.map((one, at) => html`
        <li key=${at}><button class="choice" onClick=${one.act}>
          <kbd>${LETTERS[at]?.toUpperCase()}</kbd><span class="choice-text">${one.text}</span>
          <span class="choice-note">${one.note}</span></button></li>`)}
      </ul>
    <//>
  `;
}

/** @param {any} area */
export const everyoneIn = (area) => t("areas.everyone_in", { area: area.name });

/** @param {{ target: import("./areas.js").Target, who: string }} props */
const ForgiveDialog = ({ target, who }) => html`
  <${ReasonStep} kind="forgive" title=${t("forgive.title", { who })} hint=${t("forgive.lead")}
    submit=${t("forgive.submit")} take=${(/** @type {string} */ reason) => void forgive(target, who, reason)} />
`;

/** A head count, by building; ticked off on paper or here. @param {{ told: any }} props */
function PeopleDialog({ told }) {
  const { area, people, neutral } = told;
  const print = () => window.print();
  const onKey = (/** @type {string} */ key) => key === "p" && (print(), true);
  return html`
    <${Modal} title=${t("areas.people_title", { area: area.name, count: people.length })} onKey=${onKey} wide=${true}>
      <p class="lead">${t("areas.as_of", { time: moment(told.wall_ms) })}</p>
      ${people.length === 0 && html`<p class="empty">${t("areas.nobody")}</p>`}
      ${byBuilding(people).map(({ building, within }) => html`
        <section class="muster" key=${building}>
          <h3>${building}<span class="muster-count">${within.length}</span></h3>
          <${Rows} rows=${within} />
        </section>`)}
      ${neutral.length > 0 && html`
        <section class="muster neutral">
          <h3>${t("areas.neutral")}<span class="muster-count">${neutral.length}</span></h3>
          <${Rows} rows=${neutral} />
        </section>`}
      <div class="actions"><button class="primary" onClick=${print}><kbd>P</kbd> ${t("areas.print")}</button></div>
    <//>
  `;
}

/** @param {{ rows: any[] }} props */
const Rows = ({ rows }) => html`
  <ul>${rows.map((one) => html`<${PersonRow} key=${one.person_id} one=${one} />`)}</ul>
`;

/** @param {{ one: any }} props */
function PersonRow({ one }) {
  const [found, tick] = useState(false);
  const name = one.person ? one.person.name : t("person.unlisted");
  return html`
    <li class="muster-row" data-person=${one.person_id}>
      <label class="muster-who"><input type="checkbox" checked=${found} onChange=${() => tick(!found)} />
        <strong>${name}</strong> <span>${placeOf({ person: one.person, place: one.person ? "" : one.person_id })}</span></label>
      <span class="muster-since">${t("areas.since", { time: moment(one.since_ms) })}</span>
      ${mayForgive() && html`<button class="quiet" onClick=${() => askToForgive({ person_id: one.person_id }, name)}
        aria-label=${t("areas.forgive_one", { who: name })}>${t("areas.forgive")}</button>`}
    </li>
  `;
}

/** By the dialog's kind. @type {Record<string, any>} */
const KINDS = { areas: AreasDialog, forgive: ForgiveDialog, people: PeopleDialog };

/** Whether it is one of these. @param {any} dialog */
export const isOfAreas = (dialog) => dialog.kind in KINDS;

/** @param {{ dialog: any }} props */
export const AreaDialog = ({ dialog }) => html`<${KINDS[dialog.kind]} ...${dialog} />`;
