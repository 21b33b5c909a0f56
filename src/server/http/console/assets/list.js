// All bans, mutes, roles or blocks, page by page: a table on a wide screen, and a list on a phone.

import { read } from "./api.js";
import { button, link } from "./dom.js";
import { el } from "./elements.js";
import { author, mayEverywhere, places } from "./session.js";
import { id, place, quote, say, tell } from "./text.js";
import { when } from "./time.js";
import { MAX_ROWS, PAGE, SINGULAR, kindOf, meta, placeLink, remember, userAddress } from "./words.js";

/** A page can be empty although it is not the last one. So many pages are read before the user is asked. */
const EMPTY_PAGES = 5;

export const listView = {
  hasId: true,
  query: ["in", "app"],
  key: ({ query }) => [query.in, query.app],
  title: ({ id: kind }) => say(`list.all.${kind}`),
  heading: ({ id: kind, query }) => [say(`list.all.${kind}`), query.in ? [" ", el("span", "soft", place(query.in))] : ""],
  load: (address, signal, current) => loadPage(address, current.data?.entries?.length > PAGE ? Math.min(current.data.entries.length, MAX_ROWS) : PAGE, null, signal),
  draw: drawEntries,
  concerns: (event, { address }) => kindOf(event) === SINGULAR[address.id],
};

async function loadPage({ id: kind, query }, limit, after, signal) {
  if (!(kind in SINGULAR)) return { entries: [] };
  const conversation = query.in ?? (mayEverywhere("read-moderation") ? null : places()[0]?.conversation);
  let page = { entries: [], next: after };
  for (let pages = 0; pages < EMPTY_PAGES && !page.entries.length; pages += 1) {
    page = await read(kind, { conversation, app: query.app, limit, after: page.next }, { signal });
    if (!page.next) break;
  }
  return page;
}

function drawEntries(data, address, current) {
  const { entries, next } = data;
  const kind = SINGULAR[address.id];
  const more = async () => {
    const page = await loadPage(address, PAGE, next);
    current.data = { entries: [...entries, ...page.entries].slice(-MAX_ROWS), next: page.next };
    current.redraw();
  };
  const shown = entries.length === 0 ? el("p", "empty", say(next ? "list.search-on" : "list.none")) : matchMedia("(min-width: 60rem)").matches ? table(kind, entries) : list(kind, entries);
  return [
    shown,
    el("p", "hint", say(next ? "list.shown-more" : "list.shown", { n: entries.length })),
    next && button(say("list.more", { n: PAGE }), more, { id: "more-rows", class: "wide" }),
  ];
}

function userCell(entry) {
  remember(entry.user);
  return link(userAddress(entry.user, "", { in: entry.conversation?.endsWith("*") ? null : entry.conversation }), id(entry.user));
}

function table(kind, entries) {
  const columns = {
    user: userCell,
    place: (entry) => [placeLink(entry.conversation), entry.app && ` (${entry.app})`],
    ...(kind === "role" && { role: (entry) => entry.role ?? say("role.none") }),
    ...((kind === "ban" || kind === "mute") && { end: (entry) => (entry.until ? when(entry.until, { relative: true }) : say("form.for-good")), reason: (entry) => entry.reason && quote(entry.reason) }),
    author: (entry) => (entry.source === "file" ? tell("entry.file", { line: entry.line ?? "?" }) : [author(entry.by), ", ", when(entry.at)]),
  };
  return el("table", null,
    el("caption", "unseen", say(`list.all.${kind}s`)),
    el("thead", null, el("tr", null, Object.keys(columns).map((name) => el("th", { scope: "col" }, say(`column.${name}`))))),
    el("tbody", null, entries.map((entry) => el("tr", null, Object.values(columns).map((cell, number) => (number ? el("td", null, cell(entry)) : el("th", { scope: "row" }, cell(entry))))))));
}

const list = (kind, entries) =>
  el("ul", "entries", entries.map((entry) => el("li", "entry",
    el("div", "entry-head", el("strong", null, userCell(entry), " ", kind === "role" ? (entry.role ?? say("role.none")) : "", " ", placeLink(entry.conversation), entry.app && ` (${entry.app})`)),
    entry.reason && el("p", "reason", quote(entry.reason)),
    el("p", "meta", meta(entry, kind)))));
