// Single keys open views and sheets. None of them changes anything.

import { byId } from "./elements.js";
import { preference, prefer } from "./preferences.js";

const GO = { f: "#/", l: "#/live", p: "#/places", q: "#/queue" };
/** The id of the control that a key presses, if it is on the page. */
const PRESS = { b: "ban", m: "mute", r: "role", x: "lift", u: "undo", y: "why", c: "copy-answer" };

let afterG = 0;

export function onKey(event, { current }) {
  const { key, target } = event;
  const isTyping = target.closest?.("input, textarea, select, [contenteditable]");
  if (event.defaultPrevented || event.isComposing || event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
  if (document.querySelector("dialog[open]")) return pickReason(key);
  if (preference("keys") === "no" || !current()) return;
  if (performance.now() - afterG < 1500 && GO[key]) location.hash = GO[key];
  else if (key === "/") focusSearch(event);
  else if (key === "?") location.hash = "#/you";
  else if (key === "t") switchZone();
  else if (PRESS[key]) press(PRESS[key]);
  afterG = key === "g" ? performance.now() : 0;
}

/** Presses a control. Undo only gets the focus, because a single key changes nothing. */
function press(name) {
  const focused = document.activeElement?.closest("li")?.querySelector(`[data-key="${name}"]`);
  const control = focused ?? byId(name) ?? document.querySelector(`[data-key="${name}"]`);
  if (name === "undo") control?.focus();
  else control?.click();
}

function focusSearch(event) {
  event.preventDefault();
  if (byId("search")) return byId("search").focus();
  addEventListener("hashchange", () => setTimeout(() => byId("search")?.focus(), 100), { once: true });
  location.hash = "#/";
}

function switchZone() {
  prefer("utc", preference("utc") === "yes" ? "no" : "yes");
  document.querySelectorAll("time").forEach((time) => time.refresh?.());
}

/** In a sheet, digits choose a reason. */
function pickReason(key) {
  const reasons = document.querySelectorAll('#sheet input[name="reason"]');
  if (/^[1-9]$/.test(key)) reasons[Number(key) - 1]?.click();
}
