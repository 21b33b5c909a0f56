// What happened, newest first. New lines do not push away what is being read.

import { read } from "./api.js";
import { announce, button, link } from "./dom.js";
import { byId, el } from "./elements.js";
import { mayEverywhere, places } from "./session.js";
import { id, say, tell } from "./text.js";
import { MAX_ROWS, PAGE, eventRow, isJob } from "./words.js";

/** So many new rows come in by themselves. If there are more at once, only their number is shown. */
const BURST = 5;
const FILTERS = ["user", "by", "in", "app"];

export const historyView = {
  isTop: true,
  query: FILTERS,
  key: ({ query }) => FILTERS.map((name) => query[name]),
  title: () => say("nav.live"),
  heading: () => say("nav.live"),
  load: loadHistory,
  draw: drawHistory,
  concerns: (event, { address }) => isWanted(event, address.query),
  onEvent: keepEvent,
  append: appendEvents,
};

/** The place that the policy lets the caller read. */
const readablePlace = (query) => query.in ?? (mayEverywhere("read-moderation") ? null : places()[0]?.conversation);

const changesQuery = (query) => ({ by: query.by, user: query.user, conversation: readablePlace(query), app: query.app, limit: PAGE });

async function loadHistory({ query }, signal, current) {
  current.pending = [];
  return read("changes", changesQuery(query), { signal });
}

function isWanted({ type, data = {} }, { by, user, in: conversation }) {
  return !isJob({ type }) && (!by || data.by?.subject === by) && (!user || data.user === user) && (!conversation || data.conversation === conversation);
}

function drawHistory(data, { query }, current) {
  const { events = [], next } = data;
  const list = el("ul", { class: "events", id: "events" }, events.map(eventRow));
  const fresh = button(say("live.new", { n: 0 }), () => takeNew(current), { id: "new-rows", class: "pill", hidden: true });
  return [
    filter(query),
    el("div", "pill-place", fresh),
    events.length ? list : el("p", "empty", say("history.none")),
    next && events.length < MAX_ROWS && button(say("list.more", { n: PAGE }), () => loadMore(current), { id: "more-rows", class: "wide" }),
  ];
}

async function loadMore(current) {
  const { events = [], next } = await read("changes", { ...changesQuery(current.address.query), after: current.data.next });
  current.data = { ...current.data, events: [...current.data.events, ...events], next };
  current.redraw();
}

function keepEvent(event, current) {
  if (current.data?.events?.some(({ id: known }) => known === event.id)) return;
  current.pending.unshift(event);
}

/** Shows new rows at once if nobody reads below them, and otherwise a button with their number. */
function appendEvents(current) {
  const count = current.pending.length;
  if (!count || !byId("new-rows")) return;
  if (count <= BURST && scrollY < 40 && !byId("events")?.contains(document.activeElement)) return takeNew(current);
  const pill = byId("new-rows");
  pill.hidden = false;
  pill.replaceChildren(say("live.new", { n: count }));
  if (performance.now() - (appendEvents.said ?? -10_000) > 10_000) announce(say("live.new", { n: count }));
  appendEvents.said = performance.now();
}

function takeNew(current) {
  const isPressed = document.activeElement === byId("new-rows");
  const fresh = current.pending.splice(0).slice(0, MAX_ROWS);
  current.data = { ...current.data, events: [...fresh, ...(current.data.events ?? [])].slice(0, MAX_ROWS) };
  if (!byId("events")) return current.redraw();
  byId("events").prepend(...fresh.map(eventRow));
  [...byId("events").children].slice(MAX_ROWS).forEach((row) => row.remove());
  byId("new-rows").hidden = true;
  if (!isPressed) return;
  scrollTo(0, 0);
  byId("events").querySelector("a")?.focus();
}

/** What the list is limited to, with a link to everything. */
function filter(query) {
  const chosen = ["user", "by", "in", "app"].filter((name) => query[name]);
  return chosen.length ? el("p", "chip-row", chosen.map((name) => el("span", "chip", tell(`filter.${name}`, { id: id(query[name]) }))), link("#/live", say("filter.all"))) : null;
}
