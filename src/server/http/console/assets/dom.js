// The controls of the page.

import { byId, el } from "./elements.js";

/** Creates a button. `props` may have a class, a name for screen readers, and so on. */
export const button = (text, onclick, props) => el("button", { type: "button", onclick, ...props }, text);

/** Creates a link within the page. Only addresses of this page are links. */
export const link = (address, text, props) => el("a", { href: address.startsWith("#/") ? address : "#/", ...props }, text);

/** A group of radio buttons that look like chips. `options` are pairs of a value and a label. */
export function chips(name, legend, options, chosen, onchange) {
  const choices = options.map(([value, label]) =>
    el("label", "choice", el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onchange(value) }), el("span", null, label)),
  );
  return el("fieldset", "chips", el("legend", null, legend), el("div", "choices", choices));
}

/** A labelled list of choices. `options` are pairs of a value and a text. */
export function select(label, options, chosen, onchange) {
  const list = el("select", { onchange: () => onchange(list.value) });
  list.append(...options.map(([value, text]) => new Option(text, value, false, value === chosen)));
  return el("label", "field", el("span", null, label), list);
}

/** Lets screen readers say a text, once. */
export function announce(text, region = "say") {
  byId(region).textContent = "";
  setTimeout(() => (byId(region).textContent = text), 50);
}
