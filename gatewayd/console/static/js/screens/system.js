// How the box itself is. Asked for when the screen is shown, and again every few seconds.
// @ts-check
import { html, useEffect, useState } from "../../vendor/htm-preact.js";
import { get } from "../api.js";
import { clockTime, moment, number, size, t } from "../i18n.js";
import { Icon } from "../icons.js";
import { state } from "../store.js";

const AGAIN_MS = 5_000;

export function SystemScreen() {
  const [told, setTold] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const ask = () => get("/system").then(setTold, () => setTold(null));
    void ask();
    const timer = setInterval(ask, AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  return html`
    <section class="screen">
      <div class="screen-head"><h1 tabindex="-1">${t("system.title")}</h1></div>
      ${told && state.connected ? html`<${Cards} told=${told} /><${Devices} devices=${told.devices} />`
        : html`<p class="empty">${t(state.connected ? "app.loading" : "lost.doors")}</p>`}
    </section>
  `;
}

/** @param {{ title: string, tone?: string, main: any, more?: any }} props */
const Card = ({ title, tone, main, more }) => html`
  <li class=${`card ${tone || ""}`}><h2>${title}</h2><p class="card-main">${main}</p>
    <p class="card-more">${more}</p></li>
`;

/** @param {{ told: any }} props */
function Cards({ told }) {
  const link = told.link;
  const since = link.since_ms ? t("system.link_since", { time: moment(link.since_ms) }) : "";
  const lowDisk = told.disk.free_bytes < told.disk.low_bytes;
  const outbox = { events: number(told.outbox.evt || 0), alarms: number(told.outbox.alarm || 0) };
  return html`<ul class="cards">
    <${Card} title=${t("system.link")} tone=${{ online: "good", alone: "" }[/** @type {string} */ (link.state)] ?? "warn"}
      main=${t(`link.${link.state}`)} more=${[link.protocol, since, link.detail].filter(Boolean).join(" · ")} />
    <${Card} title=${t("system.whitelist")} tone=${told.whitelist.revision ? "good" : "warn"}
      main=${t("system.revision", { revision: told.whitelist.revision })}
      more=${t("system.credentials", { count: number(told.whitelist.credentials) })} />
    <${Card} title=${t("system.journal")} main=${t("system.last_seq", { seq: number(told.journal_last_seq) })}
      more=${t("system.outbox", outbox)} />
    <${Card} title=${t("system.disk")} tone=${lowDisk ? "bad" : "good"}
      main=${t("system.disk_free", { free: size(told.disk.free_bytes), total: size(told.disk.total_bytes) })}
      more=${lowDisk ? t("system.disk_low") : ""} />
    <${Card} title=${t("system.clock")} tone=${told.wall_trusted ? "good" : "bad"} main=${clockTime(told.wall_ms)}
      more=${t(told.wall_trusted ? "system.clock_trusted" : "system.clock_untrusted")} />
    <${Card} title=${t("system.software")} main=${`gatewayd ${told.version}`}
      more=${t("system.started", { time: moment(told.started_ms) })} />
  </ul>`;
}

/** @param {{ devices: any[] }} props */
function Devices({ devices }) {
  if (!devices.length) return html`<p class="empty">${t("system.no_devices")}</p>`;
  const columns = ["name", "kind", "driver", "state", "detail"];
  return html`
    <h2 class="table-title">${t("system.devices")}</h2>
    <table class="devices">
      <thead><tr>${columns.map((name) => html`<th key=${name} scope="col">${t(`system.device_${name}`)}</th>`)}</tr></thead>
      <tbody>${devices.map((device) => html`
        <tr key=${device.id} class=${device.online ? "" : "bad"}>
          <th scope="row">${device.name}</th><td>${t(`device.${device.kind}`)}</td><td>${device.driver}</td>
          <td><span class=${`chip ${device.online ? "good" : "bad"}`}>
            <${Icon} name=${device.online ? "granted" : "offline"} />
            ${t(device.online ? "device.online" : "device.offline")}</span></td>
          <td lang="en">${device.detail}</td></tr>`)}</tbody>
    </table>
  `;
}
