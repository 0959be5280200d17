// Words, times and sizes in the operator's language. Owns the catalogue in use; knows no screen.
// @ts-check

/** @typedef {"zh-CN" | "en"} Language */

/** @type {Record<string, string>} */
let texts = {};
/** @type {Language} */
let language = "zh-CN";
let timeZone = "Asia/Shanghai";
/** @type {Record<string, Intl.DateTimeFormat>} */
let formats = {};

/** @param {Language} wanted @param {string} zone */
export async function useLanguage(wanted, zone) {
  const answer = await fetch(`/static/i18n/${wanted}.json`);
  if (!answer.ok) throw new Error(`no texts for ${wanted}`);
  texts = await answer.json();
  language = wanted;
  timeZone = zone;
  formats = {};
  document.documentElement.lang = wanted;
  document.title = t("app.title");
}

export const currentLanguage = () => language;

/**
 * The text of a key with its {places} filled in. A key that is missing shows itself.
 * @param {string} key @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  const text = texts[key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place));
}

/** @param {string} key */
export const has = (key) => Boolean(texts[key]);

/** @param {string} name @param {Intl.DateTimeFormatOptions} options */
function format(name, options) {
  formats[name] ??= new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, {
    timeZone,
    hourCycle: "h23",
    ...options,
  });
  return formats[name];
}

/** 20:14:05 @param {number} ms */
export const clockTime = (ms) =>
  format("time", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);

/** 20:14 @param {number} ms */
export const shortTime = (ms) => format("short", { hour: "2-digit", minute: "2-digit" }).format(ms);

/** 11月20日 or 20 Nov @param {number} ms */
export const day = (ms) => format("day", { month: "short", day: "numeric" }).format(ms);

/** With the weekday, for the header. @param {number} ms */
export const longDay = (ms) =>
  format("long", { month: "short", day: "numeric", weekday: "short" }).format(ms);

/** 11月20日 08:00 or 20 Nov, 08:00; with the year where it is not this one.
 * @param {number} ms @param {boolean} [seconds] with them, as a journal's line has its moment */
export function moment(ms, seconds = false) {
  const year = new Date(ms).getUTCFullYear() === new Date().getUTCFullYear();
  const name = `moment-${year}-${seconds}`;
  /** @type {Intl.DateTimeFormatOptions} */
  const parts = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
  if (seconds) parts.second = "2-digit";
  return format(name, year ? parts : { year: "numeric", ...parts }).format(ms);
}

/** How long ago, in whole words. @param {number} ms @param {number} now_ms */
export function ago(ms, now_ms) {
  const minutes = Math.floor((now_ms - ms) / 60_000);
  if (minutes < 1) return t("common.now");
  if (minutes < 60) return t("common.minutes", { count: minutes });
  if (minutes < 24 * 60) return t("common.hours", { count: Math.floor(minutes / 60) });
  return day(ms);
}

/** @param {number} value */
export const number = (value) => new Intl.NumberFormat(language).format(value);

/** 12.3 GB @param {number} bytes */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}
