// The texts of the page in the chosen language, with values in them.

import { announce, button } from "./dom.js";
import { el } from "./elements.js";
import { preference } from "./preferences.js";
import { LANGUAGES, TEXTS } from "./texts.js";

const wanted = preference("language") ?? (/^zh/.test(navigator.language) ? "zh" : "en");

/** The language of the page: `en` or `zh`. */
export const language = LANGUAGES.includes(wanted) ? wanted : "en";

/** Returns whether there is a text for this key. */
export const has = (key) => key in TEXTS;

/**
 * Returns a text as a list of texts and elements. `{name}` is a value of `args`; `{n?place:places}` is the first word if the value is 1,
 * and otherwise the second.
 */
export function tell(key, args = {}) {
  const parts = (TEXTS[key]?.[LANGUAGES.indexOf(language)] ?? key).split(/\{([^}]+)\}/);
  return parts.map((part, number) => (number % 2 ? fill(part, args) : part)).flat(Infinity);
}

function fill(part, args) {
  const [, name, one, many] = part.match(/^(\w+)(?:\?(.*):(.*))?$/) ?? [];
  if (one != null) return Number(args[name]) === 1 ? one : many;
  const value = args[name] ?? "";
  return typeof value === "number" ? String(value) : value;
}

/** Returns a text as one string, for names and announcements. */
export const say = (key, args) => flatten(tell(key, args));

/** Returns texts and elements as one string. */
export const flatten = (parts) => [parts].flat(Infinity).map((part) => (part?.localName === "q" ? `“${part.textContent}”` : (part?.textContent ?? part ?? ""))).join("");

/** Characters that nobody sees, or that change the direction of the text. */
const HIDDEN = /([\p{Cf}\u00a0\ufe00-\ufe0f\u{e0100}-\u{e01ef}])/u;

/** Shows an identifier: isolated, and with characters that nobody sees as chips. */
export function id(text, props = {}) {
  const parts = String(text).split(HIDDEN);
  const shown = parts.map((part, number) => (number % 2 ? el("span", "hidden-character", codePoint(part)) : part));
  return el("bdi", { class: "id", lang: "zxx", ...props }, shown);
}

const codePoint = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Shows an identifier, shortened in the middle if it is long. */
export function short(text) {
  const characters = [...text];
  if (characters.length <= 20) return id(text);
  return id(`${characters.slice(0, 6).join("")}…${characters.slice(-5).join("")}`, { title: text });
}

/** Returns the warnings about the characters of an identifier, as keys of texts. */
export function marks(text) {
  const scripts = ["Latin", "Greek", "Cyrillic", "Armenian"].filter((script) => new RegExp(`\\p{Script=${script}}`, "u").test(text));
  return [HIDDEN.test(text) && "mark.hidden", scripts.length > 1 && "mark.mixed"].filter(Boolean);
}

/** Names a place: everywhere, or a conversation or namespace. */
export const place = (conversation, shown = short) =>
  conversation == null || conversation === "*" ? tell("place.everywhere") : tell("place.in", { id: shown(conversation) });

/** The text of an error or reason that the server wrote. Its language is not that of the page. */
export const quote = (text) => el("q", { lang: "", dir: "auto" }, text);

/** A button that copies a text, and then shows that it is done. */
export function copier(label, text, props) {
  const control = button(label, copy, props);
  async function copy() {
    const works = await navigator.clipboard?.writeText(text()).then(() => true, () => false);
    control.replaceChildren(say(works ? "copied" : "copy.failed"));
    announce(control.textContent);
    setTimeout(() => control.replaceChildren(label), 2000);
  }
  return control;
}
