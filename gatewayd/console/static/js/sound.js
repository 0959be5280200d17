// Alarms heard: a pattern of tones per priority, made here. Owns the audio; browsers allow it only
// after a first click or key.
// @ts-check
import { change, state, waitingAlarms } from "./store.js";

/** Tones as [hertz, seconds], and the seconds until they are heard again. */
const PATTERNS = {
  critical: { tones: [[988, 0.14], [740, 0.14], [988, 0.14], [740, 0.14]], every: 2 },
  high: { tones: [[880, 0.16], [660, 0.22]], every: 6 },
  medium: { tones: [[620, 0.25]], every: 20 },
  low: { tones: [[520, 0.18]], every: 60 },
};
const ORDER = /** @type {const} */ (["critical", "high", "medium", "low"]);
const LOUDNESS = 0.25;
const MUTE_MS = 10 * 60_000;

/** @type {AudioContext | null} */
let audio = null;
let playedAt = 0;
/** @type {string | null} */
let playing = null;

/** Called by the first click or key anywhere. Not on the button that turns the sound on: woken before
 * the click, it would be the one that mutes by then.
 * @param {Event} event */
export function wakeSoundBy(event) {
  if (!(event.target instanceof Element && event.target.closest("[data-sound=off]"))) wakeSound();
}

export function wakeSound() {
  if (audio) return;
  audio = new AudioContext();
  void audio.resume();
  change({ sound: "on" });
}

export function toggleMute() {
  change({ mutedUntil: state.mutedUntil > Date.now() ? 0 : Date.now() + MUTE_MS });
}

/** Once a second: what is most urgent is heard; a more urgent one at once. A silent alarm never is:
 * who forces somebody at the gate must not hear that it was understood. */
export function soundAlarms() {
  const waiting = waitingAlarms().filter((alarm) => !alarm.silent);
  const loudest = ORDER.find((priority) => waiting.some((alarm) => alarm.priority === priority));
  if (!loudest || !audio || state.mutedUntil > Date.now()) {
    playing = null;
    return;
  }
  const pattern = PATTERNS[loudest];
  if (loudest === playing && Date.now() - playedAt < pattern.every * 1000) return;
  playing = loudest;
  playedAt = Date.now();
  play(audio, pattern.tones);
}

/** @param {AudioContext} context @param {number[][]} tones */
function play(context, tones) {
  let at = context.currentTime + 0.02;
  for (const [hertz, seconds] of tones) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = hertz;
    tone.type = "triangle";
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.015);
    volume.gain.setValueAtTime(LOUDNESS, at + seconds - 0.03);
    volume.gain.linearRampToValueAtTime(0, at + seconds);
    tone.connect(volume).connect(context.destination);
    tone.start(at);
    tone.stop(at + seconds);
    at += seconds + 0.03;
  }
}
