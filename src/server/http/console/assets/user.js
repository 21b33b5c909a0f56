// A user: what the user can do here, the entries about the user, and the actions on the user.

import { command, read } from "./api.js";
import { announce, button, link, select } from "./dom.js";
import { byId, el } from "./elements.js";
import { opened } from "./find.js";
import { drawForm } from "./forms.js";
import { loadAbilities, mayEverywhere, mayHere, places, session, storeIsUsable } from "./session.js";
import { copier, flatten, id, place, quote, say, tell } from "./text.js";
import { SINGULAR, copyAnswer, eventRow, kindOf, meta, placeLink, reasons, stages, userAddress, verdict, waits, warnings } from "./words.js";

/** What was done last, and how to undo it. */
export const receipt = { user: null, parts: null, undo: null };

const USER_QUERY = ["in", "app", "action", "for", "reason", "kind", "role", "place", "only"];
/** The actions to ask about. Without a choice, the first one that the app has is explained. */
const ACTIONS = ["join", "subscribe", "login", "publish", "history", "invite", "kick"];

export const userView = {
  hasId: true,
  hasDock: true,
  sheets: ["ban", "mute", "role", "take", "lift"],
  query: USER_QUERY,
  key: (address) => [placeOf(address), address.query.app, address.query.action],
  title: ({ id: user }) => user,
  heading: ({ id: user }) => id(user),
  load: loadUser,
  draw: drawUser,
  drawSheet: drawForm,
  concerns: ({ type, data }, { address }) => (data?.user ?? data?.users) === address.id || (kindOf({ type }) === "conversation" && data?.conversation === address.query.in),
  onEvent: noteChange,
  waits,
};

/** The place that is looked at: that of the address, or the only one. */
export const placeOf = ({ query }) => query.in ?? (!mayEverywhere("read-moderation") && places().length ? places()[0].conversation : null);

async function loadUser(address, signal) {
  const { id: user } = address;
  const conversation = placeOf(address);
  const scope = mayEverywhere("read-moderation") ? {} : { conversation };
  const options = { signal };
  const [data, abilities, explained, events] = await Promise.all([
    read(`users/${encodeURIComponent(user)}`, scope, options),
    conversation ? loadAbilities({ conversation }) : session.abilities,
    explain(address, conversation, options).catch((failure) => ({ failure })),
    read("changes", { user, ...scope, limit: 10 }, options).catch((failure) => ({ failure })),
  ]);
  opened.splice(0, opened.length, ...[user, ...opened.filter((other) => other !== user)].slice(0, 8));
  for (const entry of ["bans", "mutes", "roles", "blocks"].flatMap((kind) => data[kind] ?? [])) entry.conversation ??= "*";
  for (const entry of [...(data.bans ?? []), ...(data.mutes ?? [])]) entry.change = changeOf(entry, events.events ?? []);
  return { ...data, abilities, explained, events, conversation };
}

/** The number of the change that made an entry, if it is among the last events about the user. */
const changeOf = ({ conversation = "*", at }, events) => events.find(({ type, time, data }) => type.endsWith(".created") && time === at && (data.conversation ?? "*") === conversation)?.data.change;

/** The app that is explained: that of the address, or the first one. */
const appOf = ({ query }) => (session.abilities.apps ?? []).find(({ name }) => name === query.app)?.name ?? session.abilities.apps?.[0]?.name;

/** Asks why the user can or cannot do the chosen action. Without a choice, it takes the first action that the app has. */
async function explain(address, conversation, options) {
  const { id: user, query } = address;
  const candidates = query.action ? [query.action] : ACTIONS.slice(conversation ? 0 : 2, 3);
  for (const action of candidates) {
    try {
      return await read("explain", { user, app: appOf(address), action, conversation: action === "login" ? null : conversation }, options);
    } catch (failure) {
      if (failure.code !== "invalid_field" || action === candidates.at(-1)) throw failure;
    }
  }
}

function drawUser(data, address, current) {
  const { id: user } = address;
  const main = [statusChips(data), warnings(user), dock(data, address, current), answer(data, address), ...["bans", "mutes", "roles", "blocks"].map((kind) => section(kind, data, address))];
  return el("div", "columns", el("div", "column", main), happened(data, address));
}

function statusChips(data) {
  const { bans = [], mutes = [] } = data;
  const everywhere = (entries) => entries.some(({ conversation }) => conversation === "*");
  const role = (data.roles ?? []).find(({ conversation }) => conversation === data.conversation)?.role;
  const chip = (kind, text) => el("span", `chip ${kind}`, text);
  const parts = [
    everywhere(bans) ? chip("bad", say("chip.banned-everywhere")) : bans.length > 0 && chip("bad", tell("chip.banned-in", { n: new Set(bans.map(({ conversation }) => conversation)).size })),
    everywhere(mutes) ? chip("mixed", say("chip.muted-everywhere")) : mutes.length > 0 && chip("mixed", tell("chip.muted-in", { n: new Set(mutes.map(({ conversation }) => conversation)).size })),
    data.wider?.banned && chip("bad", say("chip.wider-ban")),
    data.wider?.muted && chip("mixed", say("chip.wider-mute")),
    role && chip("", tell("chip.role", { role })),
  ].filter(Boolean);
  return el("p", "chip-row", parts);
}

/** The actions, in reach of the thumb on a phone, and the receipt of the last change. */
function dock(data, address, current) {
  const { id: user, query } = address;
  const to = (sheet) => userAddress(user, sheet, { ...query, in: data.conversation });
  const may = (action) => storeIsUsable() && (mayHere(action, data.abilities) || mayEverywhere(action));
  const actions = [
    may("ban") && link(to("ban"), say("action.ban"), { id: "ban", class: "button primary bad" }),
    may("mute") && link(to("mute"), say("action.mute"), { id: "mute", class: "button" }),
    may("set-role") && link(to("role"), say("action.role"), { id: "role", class: "button more-item" }),
    copier(say("copy.id"), () => user, { class: "more-item" }),
    copier(say("copy.link"), () => location.href, { class: "more-item" }),
  ].filter(Boolean);
  const more = button(say("action.more"), () => toggleMore(more), { id: "more", "aria-expanded": "false", "aria-controls": "actions" });
  const shown = [...actions.filter((item) => !item.classList.contains("more-item")), more, ...actions.filter((item) => item.classList.contains("more-item"))];
  return el("div", "dock", el("div", { class: "actions", id: "actions", role: "group", "aria-label": say("actions", { user: id(user) }) }, shown), receiptBox(user, current));
}

function toggleMore(more) {
  const isOpen = more.getAttribute("aria-expanded") !== "true";
  more.setAttribute("aria-expanded", String(isOpen));
  byId("actions").classList.toggle("open", isOpen);
}

function receiptBox(user, current) {
  if (receipt.user !== user || !receipt.parts) return null;
  const close = () => {
    receipt.parts = null;
    current.redraw();
    byId("heading").focus();
  };
  const undo = receipt.undo && button(say("undo"), () => runUndo(current), { id: "undo", class: "strong" });
  return el("div", { id: "receipt", class: "receipt", role: "group", "aria-label": say("receipt") }, el("p", null, receipt.parts()), undo, button("✕", close, { class: "close", "aria-label": say("close") }));
}

/** Shows what was done, with the focus on Undo. */
export function showReceipt(user, parts, undo, current) {
  Object.assign(receipt, { user, parts, undo });
  current.redraw();
  (byId("undo") ?? byId("heading")).focus();
  announce(`${flatten(parts())} ${undo ? say("undo.next") : ""}`);
}

async function runUndo(current) {
  const { user, undo } = receipt;
  Object.assign(receipt, { parts: () => [say("undo.working")], undo: null });
  current.redraw();
  try {
    for (const { path, body } of undo) {
      const { failed = [], unchanged = [] } = await command(path, body);
      if (unchanged.length) throw Object.assign(new Error(), { isChanged: true });
      if (failed.length) throw Object.assign(new Error(failed[0].reason), { isChanged: failed[0].code === "changed" });
    }
    showReceipt(user, () => [say("undo.done")], null, current);
  } catch (failure) {
    const isChanged = failure.isChanged || failure.code === "changed";
    const text = isChanged ? "undo.changed" : failure.isUnclear ? "undo.unclear" : "undo.failed";
    showReceipt(user, () => [...tell(text, { user: id(user) }), " ", isChanged || failure.isUnclear ? "" : quote(failure.reason ?? failure.message)], null, current);
  }
  current.refresh();
}

/** The answer to "can this user join?", in words. */
function answer(data, address) {
  const { explained, conversation } = data;
  const { id: user, query } = address;
  const app = appOf(address);
  const { failure, action = query.action ?? ACTIONS[0] } = explained;
  const details = el("details", { id: "other-question" }, el("summary", null, say("why.other-question")), otherQuestion(data, address, app, action));
  if (failure) return el("section", "verdict", el("p", null, say("why.unknown")), failure.problem?.detail && el("p", "soft", quote(failure.problem.detail)), details);
  const why = `#/why?${new URLSearchParams(Object.entries({ user, app, action, in: conversation ?? "" }).filter(([, value]) => value))}`;
  return el("section", { class: `verdict ${explained.allowed ? "good" : "bad"}`, "aria-labelledby": "verdict" },
    el("h2", { id: "verdict" }, verdict(explained, user)),
    reasons(explained, user).map((line) => el("p", null, line)),
    el("p", "verdict-links", link(why, say("why.every-rule"), { id: "why" }), el("span", "soft", tell("why.at", { app })), copyAnswer(explained, user)),
    details);
}

/** The choices of another place, app or action to explain. */
function otherQuestion(data, { id: user }, app, action) {
  const { conversation } = data;
  const go = (more) => location.replace(userAddress(user, "", { in: conversation, app, action, ...more }));
  const seen = ["bans", "mutes", "roles"].flatMap((kind) => data[kind] ?? []).map((entry) => entry.conversation);
  const known = [...new Set([conversation, ...places().map((one) => one.conversation), ...seen])].filter((one) => one && !one.endsWith("*"));
  const apps = session.abilities.apps ?? [];
  return el("div", "fields",
    select(say("why.place"), [["", say("why.no-place")], ...known.map((one) => [one, one])], conversation ?? "", (value) => go({ in: value, action: null })),
    apps.length > 1 && select(say("why.app"), apps.map(({ name }) => [name, name]), app, (value) => go({ app: value, action: null })),
    select(say("why.action"), ACTIONS.map((name) => [name, name]), action, (value) => go({ action: value })));
}

function section(kind, data, address) {
  const entries = data[kind] ?? [];
  if (!entries.length && kind !== "bans") return null;
  const rows = entries.length ? el("ul", "entries", entries.map((entry, number) => row(SINGULAR[kind], entry, number, data, address))) : el("p", "empty", tell("empty.user", { user: id(address.id) }));
  const isEmpty = ["bans", "mutes", "roles", "blocks"].every((other) => !data[other]?.length);
  if (!entries.length && !isEmpty) return null;
  return el("section", null, el("h2", null, say(`list.${kind}`), el("span", null, `${entries.length}${data.more ? "+" : ""}`)), rows);
}

function row(kind, entry, number, data, address) {
  const title = kind === "role" ? tell(entry.role ? "entry.role" : "entry.no-role", { role: entry.role, place: placeLink(entry.conversation) }) : placeLink(entry.conversation);
  const { moderation, apps = [] } = session.abilities;
  const enforced = apps.filter((app) => app.enforced && (!entry.app || entry.app === app.name));
  const hasStages = entry.at && (kind === "ban" || kind === "mute");
  return el("li", "entry",
    el("div", "entry-head", el("strong", null, title, entry.app && ` (${entry.app})`), actionOf(kind, entry, number, data, address)),
    entry.reason && el("p", "reason", quote(entry.reason)),
    el("p", "meta", meta(entry, kind)),
    hasStages && stages(entry, data.jobs ?? [], moderation, enforced));
}

/** The button that takes an entry away, or the reason why there is none. */
function actionOf(kind, entry, number, data, address) {
  if (entry.source === "file") return el("span", "chip", say("chip.file"));
  if (!storeIsUsable() || kind === "block" || (kind === "role" && !entry.role)) return null;
  const may = entry.may_lift ?? entry.may_take;
  if (may && !may.allowed) return el("span", "soft small-text", may.reason ? quote(may.reason) : say("not-allowed"));
  const name = kind === "role" ? "take" : "lift";
  const query = { ...address.query, kind: kind === "role" ? null : kind, role: entry.role, place: entry.conversation, only: entry.app };
  const label = say(`action.${name}.label`, { kind: say(`kind-of.${kind}`), place: place(entry.conversation, id), role: entry.role });
  return link(userAddress(address.id, name, query), say(`action.${name}`), { class: "button", id: `entry-${kind}-${number}`, "data-key": name, "aria-label": label });
}

function happened(data, { id: user }) {
  const { failure, events = [], next } = data.events;
  const content = failure ? el("p", "soft", say("history.unknown")) : events.length ? el("ul", "events", events.map(eventRow)) : el("p", "empty", say("history.none"));
  return el("aside", { "aria-labelledby": "happened" }, el("h2", { id: "happened" }, el("span", null, tell("history.of", { user: id(user) }))), content, next && link(`#/live?${new URLSearchParams({ user })}`, say("history.more")));
}

/** Says what somebody else did to this user. */
function noteChange(event, current) {
  const { by } = event.data ?? {};
  if (!by || (by.kind === session.abilities.caller?.kind && by.subject === session.abilities.acting_as)) return;
  const parts = eventRow(event);
  current.notes = [...current.notes, [...parts.childNodes]].slice(-3);
  announce(parts.textContent);
}
