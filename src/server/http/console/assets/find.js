// Finds a user or a conversation by its id, and lists the places of the caller.

import { read } from "./api.js";
import { announce, link } from "./dom.js";
import { el } from "./elements.js";
import { mayEverywhere, maySomewhere, places, session } from "./session.js";
import { id, say, tell } from "./text.js";
import { placeAddress, remember, userAddress } from "./words.js";

/** Users whose page was opened in this tab. */
export const opened = [];

const PAUSE = 180;
const SUGGESTIONS = 8;

/** The state of the search: the number of the last question, and the last answer with its prefix. */
const searchState = { number: 0, answer: null, controller: null, timer: null, composing: false, active: -1 };

export const findView = {
  isTop: true,
  title: () => say("nav.find"),
  heading: () => say("nav.find"),
  isStatic: true,
  load: async () => ({}),
  draw: () => [searchBox(), nothingHere(), placesSection(), openedSection()],
};

function nothingHere() {
  const { places_complete: complete, acting_as: caller } = session.abilities;
  if (maySomewhere("read-moderation")) return null;
  return el("p", "note", tell(complete ? "forbidden" : "forbidden.maybe", { caller: id(caller) }));
}

/** One of the caller's places, as a link to its page. */
export const placeRow = ({ conversation, kind, role }) =>
  el("li", "row-link", link(placeAddress(conversation), [id(conversation), el("span", "soft", [kind && say(`kind.${kind}`), role].filter(Boolean).join(" · "))]));

function placesSection() {
  const mine = places().filter(({ conversation }) => conversation !== "*");
  if (!mine.length) return null;
  return el("section", null, el("h2", null, say("find.places"), el("span", null, String(mine.length))), el("ul", "rows", mine.slice(0, 10).map(placeRow)), mine.length > 10 && link("#/places", say("find.all-places")));
}

function openedSection() {
  if (!opened.length) return null;
  return el("section", null, el("h2", null, say("find.opened")), el("ul", "rows", opened.map((user) => el("li", "row-link", link(userAddress(user), id(user))))));
}

/** The search: a combobox with a list of suggestions. */
function searchBox() {
  const input = el("input", {
    id: "search", type: "search", role: "combobox", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list",
    autocomplete: "off", autocapitalize: "none", autocorrect: "off", spellcheck: "false", enterkeyhint: "search", placeholder: say("find.placeholder"), maxlength: 255,
    oninput: () => later(input, list), onkeydown: (event) => onSearchKey(event, input, list),
    oncompositionstart: () => (searchState.composing = true), oncompositionend: () => ((searchState.composing = false), later(input, list)),
    onblur: () => setTimeout(() => !list.contains(document.activeElement) && closeSuggestions(input, list), 200),
  });
  const list = el("ul", { id: "suggestions", role: "listbox", "aria-label": say("find.suggestions"), hidden: true });
  return el("div", { class: "search", role: "search" }, el("label", { for: "search" }, say("find.label")), input, list, el("p", "hint", say("find.hint")));
}

function later(input, list) {
  clearTimeout(searchState.timer);
  if (searchState.composing) return;
  if (input.value !== input.value.trim() && input.value.trim()) input.value = input.value.trim();
  const text = input.value;
  if (!text) return closeSuggestions(input, list);
  show(input, list, text, known(text));
  if ([...text].length >= 2 && !known(text) && maySomewhere("read-moderation")) searchState.timer = setTimeout(() => ask(input, list, text), PAUSE);
}

/** The suggestions, if the last complete answer has them all. */
function known(text) {
  const { answer } = searchState;
  if (!answer || !text.startsWith(answer.prefix) || (answer.more && text !== answer.prefix)) return null;
  return answer.users.filter(({ user }) => user.startsWith(text));
}

async function ask(input, list, text) {
  searchState.controller?.abort();
  searchState.controller = new AbortController();
  const number = ++searchState.number;
  const conversation = mayEverywhere("read-moderation") ? null : places()[0]?.conversation;
  const found = await read("users", { prefix: text, conversation, limit: SUGGESTIONS }, { signal: searchState.controller.signal }).catch(() => null);
  if (!found || number !== searchState.number) return;
  searchState.answer = { prefix: text, users: found.users ?? [], more: found.next !== undefined };
  if (input.value.startsWith(text)) show(input, list, input.value, known(input.value));
}

function show(input, list, text, users) {
  users?.forEach(({ user }) => remember(user));
  const options = (users ?? []).map((user) => option(userAddress(user.user), [id(user.user), userChips(user)]));
  const isKnown = users?.some(({ user }) => user === text);
  if (!isKnown) options.push(option(userAddress(text), tell("find.open", { id: id(text) })));
  if (/:|^[0-9a-f]{24}$/.test(text)) options.push(option(placeAddress(text), tell("find.open-place", { id: id(text) })));
  const notes = [users?.length === 0 && say("find.none"), users && searchState.answer?.more && say("find.more")].filter(Boolean);
  list.replaceChildren(...options, ...notes.map((note) => el("li", { class: "hint", role: "presentation" }, note)));
  list.hidden = false;
  input.ariaExpanded = "true";
  searchState.active = -1;
  input.removeAttribute("aria-activedescendant");
  clearTimeout(show.timer);
  if (users) show.timer = setTimeout(() => announce(say("find.count", { n: users.length })), 1000);
}

const userChips = (user) => [
  user.bans > 0 && el("span", "chip bad", say("chip.banned")),
  user.mutes > 0 && el("span", "chip mixed", say("chip.muted")),
];

const option = (address, content) => el("li", { role: "option", "aria-selected": "false", onclick: () => (location.hash = address), "data-address": address }, content);

function closeSuggestions(input, list) {
  list.hidden = true;
  input.ariaExpanded = "false";
  input.removeAttribute("aria-activedescendant");
}

function onSearchKey(event, input, list) {
  if (event.isComposing) return;
  const options = [...list.querySelectorAll("[role=option]")];
  if (event.key === "Enter" && input.value) {
    const chosen = options[searchState.active]?.dataset.address ?? userAddress(input.value.trim());
    event.preventDefault();
    location.hash = chosen;
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (list.hidden) input.value = "";
    closeSuggestions(input, list);
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && options.length) {
    event.preventDefault();
    const count = options.length;
    const start = searchState.active < 0 && event.key === "ArrowUp" ? 0 : searchState.active;
    searchState.active = (start + (event.key === "ArrowDown" ? 1 : -1) + count) % count;
    options.forEach((item, number) => {
      item.ariaSelected = String(number === searchState.active);
      item.id = `option-${number}`;
    });
    input.setAttribute("aria-activedescendant", `option-${searchState.active}`);
    options[searchState.active].scrollIntoView({ block: "nearest" });
  }
}
