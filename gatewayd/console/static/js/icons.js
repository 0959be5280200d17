// The few signs the page uses, drawn here so that nothing is fetched. Each stands beside words.
// @ts-check
import { html } from "../vendor/htm-preact.js";

/** Paths in a 24 × 24 field, stroked. @type {Record<string, string>} */
const PATHS = {
  granted: "M5 12.5 10 17.5 19.5 7",
  denied: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  warn: "M12 4 2.8 20h18.4L12 4zM12 10v4.5M12 17.4v.1",
  locked: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  unlocked: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 6.6-1.6",
  open: "M5 21h14M7 21V4l9 2.5V21M13 12.5v.1",
  forced: "M13 2 5.5 13.5H12L10.5 22 18.5 10H12L13 2z",
  held: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5.2l3.4 2",
  offline: "M4 4l16 16M8.5 8.6A9 9 0 0 0 3.5 11.500M20.500 11.500a12 12 0 0 0-8-3.400M7 15.200a7 7 0 0 1 6.500-1.700M12 19v.1",
  lockdown: "M12 3 4.500 6v5.500c0 4.600 3.100 8.100 7.500 9.500 4.400-1.400 7.500-4.900 7.500-9.500V6L12 3zM9 12h6",
  in: "M14 4h5v16h-5M4 12h10M10.500 8l4 4-4 4",
  out: "M10 4H5v16h5M10 12h10M16.500 8l4 4-4 4",
  camera: "M4 8h3.500L9 5.500h6L16.500 8H20v11H4zM12 16.500a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7z",
  bell: "M6 16.500V11a6 6 0 0 1 12 0v5.500l1.500 1.500h-15zM10 20.500h4",
  sound: "M4 9.500v5h3.500L12 18.500v-13L7.500 9.500zM15.500 9a4 4 0 0 1 0 6M18 6.500a7.500 7.500 0 0 1 0 11",
  mute: "M4 9.500v5h3.500L12 18.500v-13L7.500 9.500zM16 9.500l5 5M21 9.500l-5 5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M19.500 14.500A8 8 0 1 1 9.500 4.500a6.500 6.500 0 0 0 10 10z",
  keys: "M3 7h18v11H3zM6.500 10.500v.1M10 10.500v.1M13.500 10.500v.1M17 10.500v.1M7.500 14.500h9",
  exit: "M14 4h5v16h-5M3.500 12H14M7.500 8l-4 4 4 4",
  link: "M9.500 14.500l5-5M8 11.500l-2.500 2.500a3.500 3.500 0 0 0 5 5L13 16.500M11 7.500l2.500-2.500a3.500 3.500 0 0 1 5 5L16 12.500",
  blocked: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.800 5.800l12.400 12.400",
  fire: "M12 21a6 6 0 0 1-6-6c0-3 2-4.500 3.500-7 .5 1.500 1.500 2 2 2 0-3 .5-5 2.500-7 0 4 4 6.500 4 12a6 6 0 0 1-6 6z",
  arm_down: "M3 20h7M5 20V9h3v11M8 11.500h13M12 11.500l1.500 2M16 11.500l1.500 2",
  arm_up: "M3 20h7M5 20V9h3v11M8 10.500 18.500 3M12 7.700l2.400.600M15.200 5.400l2.400.600",
  enlarge: "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
};

/** @type {Record<string, string>} */
export const DOOR_ICON = {
  secure: "locked",
  unlocked: "unlocked",
  open: "open",
  free: "open",
  held_warning: "held",
  held: "held",
  forced: "forced",
  failed: "warn",
  offline: "offline",
  lockdown: "lockdown",
  blocked: "blocked",
  fire: "fire",
};

/** Where a barrier shows its arm instead. @type {Record<string, string>} */
export const ARM_ICON = { secure: "arm_down", unlocked: "arm_up", open: "arm_up", free: "arm_up" };

/** @type {Record<string, string>} */
export const VERDICT_ICON = { granted: "granted", denied: "denied", failed: "warn", refused: "warn" };

/** Decoration: the words beside it are what counts. @param {{ name: string }} props */
export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] || ""} />
  </svg>
`;
