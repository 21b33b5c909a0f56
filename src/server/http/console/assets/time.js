// Times by the clock of the server, in the time zone of the browser or in UTC.

import { el } from "./elements.js";
import { preference } from "./preferences.js";
import { language, say, tell } from "./text.js";

export const MINUTE = 60_000;
export const DAY = 24 * 60 * MINUTE;

/** How far the server's clock is ahead of this device's, in milliseconds. */
let ahead = 0;
const zone = () => (preference("utc") === "yes" ? { timeZone: "UTC" } : {});
const format = (options) => new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", { ...options, ...zone() });

/** The time at the server. */
export const now = () => Date.now() + ahead;

/** Learns the server's time from an answer. `precise` is false for a header, which has whole seconds. */
export function learn(time, precise) {
  const server = Date.parse(time);
  if (Number.isNaN(server)) return;
  const found = server - Date.now();
  if (precise || Math.abs(found - ahead) > 3000) ahead = found;
}

/** How far the clock of this device is off, in minutes: positive if it is slow. */
export const clockError = () => Math.round(ahead / MINUTE);

const day = (date) => format({ dateStyle: "short" }).format(date);

/** Writes a time: the clock, with the day unless it is today. */
export function clock(value, { seconds = false } = {}) {
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return say("time.unreadable");
  const time = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) }).format(date);
  const text = day(date) === day(now()) ? time : `${format(dayParts(date)).format(date)}${language === "zh" ? " " : ", "}${time}`;
  return preference("utc") === "yes" ? `${text} UTC` : text;
}

function dayParts(date) {
  const distance = Math.abs(date - now());
  if (distance < 6 * DAY) return { weekday: "short" };
  return { day: "numeric", month: "short", ...(new Date(now()).getFullYear() !== date.getFullYear() && { year: "numeric" }) };
}

/** Writes a duration in milliseconds, in one or two units. */
export function span(length) {
  const minutes = Math.max(1, Math.round(length / MINUTE));
  const [hours, days] = [Math.floor(minutes / 60), Math.floor(minutes / 1440)];
  if (days > 2) return say("span.d", { n: days });
  if (hours > 0) return minutes % 60 ? `${say("span.h", { n: hours })} ${say("span.m", { n: minutes % 60 })}` : say("span.h", { n: hours });
  return say("span.m", { n: minutes });
}

const UNITS = { s: 1000, m: MINUTE, h: 60 * MINUTE, d: DAY };
const partsOf = (duration) => [...duration.matchAll(/(\d+)([smhd])/g)];

/** Reads a duration such as `24h` or `1h30m`, in milliseconds. */
export const parseSpan = (duration) => partsOf(duration).reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0);

/** Names a duration such as `24h`: 24 h. */
export const spanName = (duration) => partsOf(duration).map(([, count, unit]) => say(`span.${unit}`, { n: Number(count) })).join(" ");

/** Shows a time. It is written anew each minute. */
export function when(value, { relative = false, seconds = false } = {}) {
  const date = new Date(value);
  if (Number.isNaN(date.getTime())) return say("time.unreadable");
  const title = format({ dateStyle: "full", timeStyle: "long" }).format(date);
  const element = el("time", { datetime: date.toISOString(), title });
  const write = () => element.replaceChildren(...(relative ? distance(date, seconds) : [clock(date, { seconds })]));
  write();
  element.refresh = write;
  return element;
}

function distance(date, seconds) {
  const difference = date - now();
  const at = clock(date, { seconds });
  if (Math.abs(difference) > DAY) return [at];
  if (Math.abs(difference) < MINUTE / 2) return [at];
  return tell(difference > 0 ? "time.in" : "time.ago", { span: span(Math.abs(difference)), at });
}

/** Writes all times in the document anew. */
export function refreshTimes() {
  for (const element of document.querySelectorAll("time")) element.refresh?.();
}

/** The name of the time zone in use. */
export const zoneName = () => format({}).resolvedOptions().timeZone;
