// The conversations where the caller moderates, and one conversation: its people, and what happened there.

import { read } from "./api.js";
import { button, link } from "./dom.js";
import { el } from "./elements.js";
import { placeRow } from "./find.js";
import { mayEverywhere, places, session } from "./session.js";
import { copier, id, marks, say, tell } from "./text.js";
import { when } from "./time.js";
import { PAGE, eventRow, isJob, remember, userAddress } from "./words.js";

export const placesView = {
  isTop: true,
  title: () => say("nav.places"),
  heading: () => say("nav.places"),
  load: async (address, signal) => (mayEverywhere("read-moderation") ? read("conversations", { limit: PAGE }, { signal }) : {}),
  draw: drawPlaces,
};

function drawPlaces({ conversations = [], next }, address, current) {
  const mine = places().filter(({ conversation }) => conversation !== "*");
  const known = new Map(conversations.map((entry) => [entry.conversation, entry]));
  const others = [...known.values()].filter((one) => !mine.some(({ conversation }) => conversation === one.conversation));
  const more = async () => {
    const page = await read("conversations", { limit: PAGE, after: next });
    current.data = { conversations: [...conversations, ...(page.conversations ?? [])], next: page.next };
    current.redraw();
  };
  return [
    openPlace(),
    mine.length > 0 && el("section", null, el("h2", null, say("find.places"), el("span", null, String(mine.length))), el("ul", "rows", mine.map(placeRow))),
    others.length > 0 && el("section", null, el("h2", null, say("places.known")), el("ul", "rows", others.map(placeRow))),
    !mine.length && !others.length && el("p", "empty", say("places.none")),
    next && button(say("list.more", { n: PAGE }), more, { id: "more-rows", class: "wide" }),
    !session.abilities.places_complete && el("p", "hint", say("places.incomplete")),
  ];
}

/** A form that opens a conversation by its id. */
function openPlace() {
  const field = el("input", { id: "place-id", autocapitalize: "none", spellcheck: "false", autocomplete: "off", maxlength: 255 });
  const open = (event) => {
    event.preventDefault();
    if (field.value.trim()) location.hash = `#/place/${encodeURIComponent(field.value.trim())}`;
  };
  return el("form", { class: "open-place", onsubmit: open }, el("label", { for: "place-id" }, say("places.open")), el("div", "row", field, el("button", { type: "submit" }, say("open"))));
}

export const placeView = {
  hasId: true,
  title: ({ id: conversation }) => conversation,
  heading: ({ id: conversation }) => id(conversation),
  load: loadPlace,
  draw: drawPlace,
  concerns: (event, { address }) => !isJob(event) && event.data?.conversation === address.id,
};

async function loadPlace({ id: conversation }, signal) {
  const path = `conversations/${encodeURIComponent(conversation)}`;
  const options = { signal };
  const missing = (failure) => (failure.code === "not_found" ? {} : Promise.reject(failure));
  const [about, people, events] = await Promise.all([
    read(path, {}, options).catch(missing),
    read(`${path}/people`, { limit: PAGE }, options).catch(missing),
    read("changes", { conversation, limit: 10 }, options).catch((failure) => ({ failure })),
  ]);
  return { ...about, people: people.people ?? [], next: people.next, events };
}

function drawPlace(data, { id: conversation }, current) {
  const { entries = [], counts = {}, people, next, events } = data;
  const list = (kind) => `#/list/${kind}?${new URLSearchParams({ in: conversation })}`;
  const kinds = [...new Set(entries.map(({ kind }) => kind).filter(Boolean))].map((kind) => say(`kind.${kind}`));
  const owner = data.owner ?? entries.find((entry) => entry.owner)?.owner;
  const facts = [
    kinds.length && kinds.join(", "),
    owner && tell("place.owner", { user: link(userAddress(owner, "", { in: conversation }), id(owner)) }),
    entries.some(({ source }) => source === "file") && say("chip.file"),
  ].filter(Boolean);
  const more = async () => {
    const page = await read(`conversations/${encodeURIComponent(conversation)}/people`, { limit: PAGE, after: next });
    current.data = { ...data, people: [...people, ...(page.people ?? [])], next: page.next };
    current.redraw();
  };
  const column = el("div", "column",
    el("p", "chip-row", facts.map((fact) => el("span", "chip", fact)), copier(say("copy.id"), () => conversation, { class: "small" })),
    marks(conversation).map((mark) => el("p", "note mixed", say(mark))),
    el("p", "counts", ["bans", "mutes", "roles"].map((kind) => link(list(kind), [say(`list.${kind}`), counts[kind] != null && el("strong", null, ` ${counts[kind]}`)], { class: "button" }))),
    el("section", null,
      el("h2", null, say("place.people"), el("span", null, `${people.length}${next ? "+" : ""}`)),
      people.length ? el("ul", "rows", people.map((person) => personRow(person, conversation))) : el("p", "empty", say("place.nobody")),
      next && button(say("list.more", { n: PAGE }), more, { id: "more-rows", class: "wide" })),
    el("p", "hint", say("place.find-others")));
  const happened = events.failure ? el("p", "soft", say("history.unknown")) : events.events?.length ? el("ul", "events", events.events.map(eventRow)) : el("p", "empty", say("history.none"));
  return el("div", "columns", column, el("aside", { "aria-labelledby": "happened" }, el("h2", { id: "happened" }, say("history.here")), happened, events.next && link(`#/live?${new URLSearchParams({ in: conversation })}`, say("history.more"))));
}

function personRow({ user, role, banned, muted, wider, source }, conversation) {
  const chips = [
    banned && el("span", "chip bad", say("chip.banned"), banned.until ? [" ", say("until.short"), " ", when(banned.until)] : ""),
    muted && el("span", "chip mixed", say("chip.muted"), muted.until ? [" ", say("until.short"), " ", when(muted.until)] : ""),
    wider && !banned && !muted && el("span", "chip bad", say("chip.wider")),
  ];
  remember(user);
  return el("li", "row-link", link(userAddress(user, "", { in: conversation }), [id(user), el("span", "soft", role, source === "file" ? ` · ${say("chip.file")}` : ""), chips]));
}
