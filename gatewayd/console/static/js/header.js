// The bar at the top: screens, alarms, the line, the time, and the operator's own switches.
// @ts-check
import { html } from "../vendor/htm-preact.js";
import { request } from "./api.js";
import { clockTime, currentLanguage, longDay, shortTime, t, useLanguage } from "./i18n.js";
import { Icon } from "./icons.js";
import { show } from "./orders.js";
import { toggleMute, wakeSound } from "./sound.js";
import { boxNow, change, state, waitingAlarms } from "./store.js";
import { isOdd } from "./words.js";

/** @type {{ screen: import("./store.js").Screen, key: string }[]} */
export const SCREENS = [
  { screen: "live", key: "1" },
  { screen: "doors", key: "2" },
  { screen: "alarms", key: "3" },
  { screen: "system", key: "4" },
];

export const Header = () => html`
  <header class="bar">
    <div class="site">
      <span class="site-name">${state.session.site.name}</span>
      <span class="site-gateway">${state.session.site.gateway}</span>
    </div>
    <nav class="tabs" aria-label=${t("nav.label")}>${SCREENS.map(Tab)}</nav>
    <div class="status">
      <${LinkChip} />
      <${SoundChip} />
      <${Clock} />
    </div>
    <div class="switches">
      <button class="quiet" onClick=${switchLanguage} aria-label=${t("header.language_label")}
        title=${`${t("header.language_label")} (L)`} data-test="language">${t("header.language")}</button>
      <${IconButton} icon=${state.theme === "dark" ? "sun" : "moon"} act=${switchTheme} hint="T"
        label=${t(state.theme === "dark" ? "header.theme_light" : "header.theme_dark")} />
      <${IconButton} icon="keys" label=${t("header.keys")} hint="?" act=${showKeys} />
      <div class="operator">
        <span class="operator-name">${state.session.operator}</span>
        <span class="operator-role">${t(`role.${state.session.role}`)}</span>
      </div>
      <${IconButton} icon="exit" label=${t("header.log_out")} act=${logOut} />
    </div>
  </header>
`;

/** @param {{ screen: import("./store.js").Screen, key: string }} one */
function Tab({ screen, key }) {
  const count = badgeOf(screen);
  return html`
    <button class="tab" key=${screen} data-screen=${screen} onClick=${() => show(screen)}
      aria-current=${state.screen === screen ? "page" : null}>
      <kbd aria-hidden="true">${key}</kbd>${t(`nav.${screen}`)}
      ${count && html`<span class=${`badge ${count.tone}`} aria-label=${count.label}>${count.count}</span>`}
    </button>
  `;
}

/** @param {string} screen */
function badgeOf(screen) {
  if (screen === "alarms") {
    const waiting = waitingAlarms();
    if (!waiting.length) return null;
    const label = t("header.alarms", { count: waiting.length });
    return { count: waiting.length, tone: waiting[0].priority, label };
  }
  const odd = screen === "doors" ? state.doors.filter(isOdd).length : 0;
  if (!odd || !state.connected) return null;
  return { count: odd, tone: "medium", label: t("doors.summary", { total: state.doors.length, odd }) };
}

/** @param {{ icon: string, label: string, act: () => void, hint?: string }} props */
const IconButton = ({ icon, label, act, hint }) => html`
  <button class="quiet square" onClick=${act} aria-label=${label}
    title=${hint ? `${label} (${hint})` : label}><${Icon} name=${icon} /></button>
`;

function LinkChip() {
  if (!state.link || !state.connected) return null;
  const tone = state.link.state === "online" ? "good" : state.link.state === "alone" ? "" : "warn";
  return html`<span class=${`chip ${tone}`}><${Icon} name=${tone === "warn" ? "offline" : "link"} />
    <span class="chip-text">${t(`link.${state.link.state}`)}</span></span>`;
}

function SoundChip() {
  const muted = state.mutedUntil > Date.now();
  if (state.sound === "off") {
    return html`<button class="chip warn" data-sound="off" onClick=${wakeSound}><${Icon} name="mute" />
      <span class="chip-text">${t("header.sound_click")}</span></button>`;
  }
  const text = muted ? t("header.sound_muted", { time: shortTime(state.mutedUntil) }) : t("header.sound_on");
  return html`<button class=${`chip ${muted ? "warn" : ""}`} onClick=${toggleMute}
    title=${`${t(muted ? "header.unmute" : "header.mute")} (M)`}>
    <${Icon} name=${muted ? "mute" : "sound"} /><span class="chip-text">${text}</span></button>`;
}

const Clock = () => html`
  <span class=${`clock ${state.clockTrusted ? "" : "untrusted"}`}>
    <time class="clock-time">${clockTime(boxNow())}</time>
    <span class="clock-day">${longDay(boxNow())}</span>
  </span>
`;

export async function switchLanguage() {
  const wanted = currentLanguage() === "en" ? "zh-CN" : "en";
  await useLanguage(wanted, state.session.site.time_zone);
  change({ notice: null }); // its words are made: it would stay in the other language
  // Kept with the operator where the box can be reached; this page has switched anyway.
  await request("PUT", "/session/language", { language: wanted }).catch(() => null);
}

export function switchTheme() {
  const theme = state.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("gatewayd.theme", theme);
  } catch {
    // storage may be off: the theme then lasts as long as the page
  }
  change({ theme });
}

export const showKeys = () => change({ dialog: { kind: "keys" } });

async function logOut() {
  await request("DELETE", "/session").catch(() => null);
  location.assign("/login");
}
