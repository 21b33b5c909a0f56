// Who uses the page and what the page offers: language, time zone, keys, and signing out.

import { button, select } from "./dom.js";
import { el } from "./elements.js";
import { preference, prefer } from "./preferences.js";
import { author, places, session, signOut } from "./session.js";
import { stop } from "./live.js";
import { id, language, say, tell } from "./text.js";
import { refreshTimes, when, zoneName } from "./time.js";

const KEYS = ["/", "g f", "g l", "g p", "g q", "b", "m", "r", "x", "u", "y", "c", "t", "?", "Esc", "Ctrl+Enter"];

export const youView = {
  title: () => say("you"),
  heading: () => say("you"),
  isStatic: true,
  load: async () => ({}),
  draw: drawYou,
};

function drawYou() {
  const { caller, acting_as: acting, apps = [], build } = session.abilities;
  const ambient = { ...caller, subject: acting ?? caller.subject };
  const actions = Object.entries(session.abilities.everywhere ?? {}).filter(([, { allowed }]) => allowed).map(([action]) => action);
  const out = () => {
    stop();
    signOut();
  };
  return [
    el("p", null, tell("you.signed-in", { caller: author(ambient), authenticator: id(caller.authenticator ?? "") })),
    caller.until && el("p", "soft", tell("you.until", { time: when(caller.until, { relative: true }) })),
    el("p", "soft", actions.length ? tell("you.everywhere", { actions: actions.join(", ") }) : tell("you.places", { n: places().length })),
    el("section", null, el("h2", null, say("you.language")), el("div", "row", languageButton("en", "English"), languageButton("zh", "中文"))),
    el("section", null, el("h2", null, say("you.times")), select(say("you.zone"), [["no", tell("you.local", { zone: zoneName() }).join("")], ["yes", "UTC"]], preference("utc") ?? "no", (value) => (prefer("utc", value), refreshTimes()))),
    keyTable(),
    el("section", null, button(say("sign-out"), out, { id: "sign-out", class: "wide" })),
    el("p", "soft small-text", tell("you.apps", { apps: apps.map(({ name }) => name).join(", ") }), ` · ${build ?? ""}`),
  ];
}

/** The page is loaded anew in the other language. */
function languageButton(name, text) {
  const use = () => {
    prefer("language", name);
    location.reload();
  };
  return button(text, use, { lang: name, "aria-pressed": String(language === name), class: language === name ? "strong" : "" });
}

function keyTable() {
  const isOff = preference("keys") === "no";
  const box = el("input", { type: "checkbox", id: "keys", checked: !isOff, onchange: () => prefer("keys", box.checked ? "yes" : "no") });
  return el("section", null,
    el("h2", null, say("you.keys")),
    el("label", "check", box, " ", say("you.keys-on")),
    el("dl", "keys", KEYS.map((key) => [el("dt", null, key.split(" ").flatMap((one) => [el("kbd", null, one), " "])), el("dd", null, say(`key.${key}`))])));
}
