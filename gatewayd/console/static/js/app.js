// The console: signs in, keeps the screen painted, hears the keys.
// @ts-check
import { Component, html, render } from "../vendor/htm-preact.js";
import { Problem, get } from "./api.js";
import { AreaDialog, isOfAreas } from "./area_dialogs.js";
import { askWhomToCount, askWhomToForgive } from "./areas.js";
import { Dialog } from "./dialogs.js";
import { Header, SCREENS, showKeys, switchLanguage, switchTheme } from "./header.js";
import { t, useLanguage } from "./i18n.js";
import { Icon } from "./icons.js";
import { shelveChosen, show } from "./orders.js";
import { PasswordScreen } from "./password.js";
import { AlarmsScreen } from "./screens/alarms.js";
import { DoorsScreen } from "./screens/doors.js";
import { enlarge, toggleTrace } from "./screens/entry.js";
import { LiveScreen, setFilter, toNow } from "./screens/live.js";
import { SystemScreen } from "./screens/system.js";
import { soundAlarms, toggleMute, wakeSoundBy } from "./sound.js";
import { change, shownEntry, state, subscribe, waitingAlarms } from "./store.js";
import { begin, lostText } from "./stream.js";
import { aboutOf } from "./words.js";

const SCREEN = { live: LiveScreen, doors: DoorsScreen, alarms: AlarmsScreen, system: SystemScreen };

class App extends Component {
  componentDidMount() {
    subscribe(() => {
      soundAlarms();
      /** @type {any} */ (this).forceUpdate();
    });
  }

  render() {
    if (state.session.must_change_password) return html`<${PasswordScreen} />`;
    const Screen = SCREEN[state.screen];
    return html`
      <a class="skip" href="#main">${t("nav.skip")}</a>
      <${Header} />
      ${!state.connected && state.lostSince !== null && html`<${Lost} />`}
      <main id="main" class=${state.connected ? "" : "stale"}><${Screen} /></main>
      <p class="sr" aria-live="polite">${state.announcement}</p>
      <p class="sr" aria-live="assertive">${alarmSentence()}</p>
      <div class="notices" role="status">${state.notice && html`
        <p class=${`notice ${state.notice.tone}`} key=${state.notice.id}>
          <${Icon} name=${state.notice.tone === "good" ? "granted" : "warn"} />${state.notice.text}</p>`}
      </div>
      ${state.dialog && html`<${isOfAreas(state.dialog) ? AreaDialog : Dialog} dialog=${state.dialog} />`}
    `;
  }
}

const Lost = () => html`
  <div class="lost" role="alert"><${Icon} name="offline" />
    <div><strong>${t("lost.title")}</strong><p>${lostText(state.lostSince || 0)}</p></div>
  </div>
`;

/** The most urgent alarm that waits, for those who hear the page. */
function alarmSentence() {
  const alarm = waitingAlarms()[0];
  if (!alarm) return "";
  return t("alarms.announce", {
    priority: t(`priority.${alarm.priority}`),
    alarm: t(`alarm.${alarm.kind}`),
    about: aboutOf(alarm),
  });
}

/** @type {Record<string, () => void>} */
const KEYS = {
  o: () => state.connected && change({ dialog: { kind: "open" } }),
  a: () => show("alarms"),
  s: () => shelveChosen(),
  g: () => askWhomToForgive(),
  h: () => askWhomToCount(),
  f: () => void setFilter(!state.deniedOnly),
  j: () => toNow(),
  p: () => enlarge(shownEntry()),
  w: () => toggleTrace(),
  m: () => toggleMute(),
  t: () => switchTheme(),
  l: () => void switchLanguage(),
  "?": () => showKeys(),
  escape: () => toNow(),
};
for (const { screen, key } of SCREENS) KEYS[key] = () => show(screen);

/** @param {KeyboardEvent} event */
function keyed(event) {
  const typing = event.target instanceof HTMLInputElement;
  // A key that a dialog has taken is none of ours, although the dialog may be closed by now.
  if (event.defaultPrevented || typing || state.dialog || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const act = KEYS[event.key.toLowerCase()];
  if (!act || state.session.must_change_password) return;
  event.preventDefault();
  act();
}

async function start() {
  try {
    const session = await get("/session");
    state.session = session;
    state.theme = document.documentElement.dataset.theme || "dark";
    await useLanguage(session.language, session.site.time_zone);
  } catch (error) {
    if (error instanceof Problem && error.code === "not-signed-in") location.assign("/login");
    else setTimeout(start, 2_000); // the box is starting: the page says that it loads
    return;
  }
  const root = /** @type {HTMLElement} */ (document.getElementById("app"));
  root.replaceChildren();
  render(html`<${App} />`, root);
  document.addEventListener("keydown", keyed);
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, wakeSoundBy);
  if (!state.session.must_change_password) await follow();
}

async function follow() {
  try {
    await begin();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    setTimeout(follow, 2_000);
  }
}

void start();
