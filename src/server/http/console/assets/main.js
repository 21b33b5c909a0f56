// Starts the page, and shows the view that the address names.

import { read, watchRequests } from "./api.js";
import { announce, button, link } from "./dom.js";
import { byId, el } from "./elements.js";
import { follow, live, stop } from "./live.js";
import { onKey } from "./keys.js";
import { askToSignIn, callerName, loadAbilities, loadConfig, mayEverywhere, maySomewhere, places, session, signOut, watchSignOut } from "./session.js";
import { closeSheet, redrawSheet, showSheet } from "./sheet.js";
import { flatten, id, language, quote, say, tell } from "./text.js";
import { MINUTE, clock, clockError, refreshTimes, when } from "./time.js";
import { findView } from "./find.js";
import { userView } from "./user.js";
import { whyView } from "./why.js";
import { historyView } from "./history.js";
import { placeView, placesView } from "./places.js";
import { listView } from "./list.js";
import { changeView, queueView } from "./queue.js";
import { youView } from "./you.js";

/** The views, by the first part of the address. */
const VIEWS = { "": findView, user: userView, why: whyView, live: historyView, places: placesView, place: placeView, list: listView, queue: queueView, change: changeView, you: youView };
const NAV = ["", "live", "places", "queue"];

/** The view on the screen: its address, its data, and what happened since. */
let current = null;
/** The connection: when it was lost, and whether the server has a newer page. */
const connection = { offlineSince: null, build: null };

async function begin() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  if (!isSecureContext) return alone("insecure");
  await loadConfig();
  document.title = session.config.title ?? say("title");
  watchRequests(onRequest);
  watchSignOut(() => leave(false));
  addEventListener("hashchange", route);
  addEventListener("keydown", (event) => onKey(event, { current: () => current, leave }));
  addEventListener("pageshow", (event) => event.persisted && recheck());
  for (const change of ["online", "offline"]) addEventListener(change, () => onRequest(null));
  setInterval(minute, MINUTE);
  try {
    await loadAbilities();
    await started();
  } catch (failure) {
    if (failure.kind === "signed-out") return askToSignIn(started);
    alone("error.start", failure);
  }
}

/** Somebody is signed in. If it is another caller than before, the page begins anew. */
async function started(before) {
  const back = sessionStorage.getItem("console.back");
  sessionStorage.removeItem("console.back");
  if (location.hash === "#/sign-in" || location.hash === "") window.history.replaceState(null, "", back ?? "#/");
  const isNew = before !== callerName();
  connection.build ??= session.abilities.build;
  drawFrame();
  if (isNew) {
    current = null;
    closeSheet();
    if (before) {
      window.history.replaceState(null, "", "#/");
      announce(say("sign-in.changed", { caller: callerName(), before }));
    }
  }
  follow(current?.scope ?? scopeOf({ query: {} }), { event: onEvent, state: onLive, poll: () => refresh(), reset: onReset, failure: onRequest });
  await (isNew ? route() : refresh());
}

function leave(here = true) {
  stop();
  current = null;
  signOut(here);
}

/** The stream that shows what happens to what is on the screen. */
function scopeOf({ name, id: text, query }) {
  if (mayEverywhere("read-moderation")) return {};
  const looked = name === "place" ? text : query.in;
  const conversation = looked ?? (places().length === 1 ? places()[0].conversation : null);
  return conversation ? { conversation } : null;
}

/** Reads an address: `#/user/tom/ban?in=…`. Returns null if it cannot be read. */
function parse(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  try {
    const [name = "", text, sheet, ...rest] = path.split("/").map(decodeURIComponent);
    const view = VIEWS[name];
    if (!view || rest.length || (text !== undefined) !== Boolean(view.hasId) || (sheet && !view.sheets?.includes(sheet))) return null;
    const pairs = [...new URLSearchParams(query)];
    const known = Object.fromEntries(pairs.filter(([key]) => view.query?.includes(key)));
    return { name, id: text, sheet, query: known, unknown: pairs.map(([key]) => key).filter((key) => !view.query?.includes(key)) };
  } catch {
    return null;
  }
}

async function route() {
  if (!session.abilities) return askToSignIn(started);
  const address = parse(location.hash);
  const key = address && JSON.stringify([address.name, address.id, ...(VIEWS[address.name].key?.(address) ?? [])]);
  if (address && current?.key === key) {
    Object.assign(current, { address, cameFromView: true });
    byId("main").dataset.ready = location.hash;
    return showSheet(current);
  }
  closeSheet();
  current = { key, address, view: VIEWS[address?.name], data: null, notes: [], refresh: () => refresh(), redraw: () => draw() };
  const own = current;
  own.note = (parts) => note(parts, own);
  if (!address) return drawMissing();
  if (address.unknown.length) note(say("address.unknown", { names: address.unknown.join(", ") }));
  current.scope = scopeOf(address);
  follow(current.scope);
  drawFrame();
  drawHeading();
  await refresh();
  if (own === current) showSheet(current);
}

/** Loads the data of the view, and draws them. What is on the screen stays until then. */
async function refresh() {
  const own = current;
  if (!own?.view?.load || !session.abilities || (own.view.isStatic && own.data)) return;
  own.controller?.abort();
  const controller = (own.controller = new AbortController());
  const slow = setTimeout(() => own.data === null && own === current && skeleton(), 300);
  try {
    const data = await own.view.load(own.address, controller.signal, own);
    if (own !== current || controller.signal.aborted) return;
    const isNew = own.data !== null && own.data.version !== data.version;
    Object.assign(own, { data, failure: null, loaded: Date.now() });
    if (isNew) redrawSheet(own);
  } catch (failure) {
    if (own !== current || controller.signal.aborted || failure.kind === "signed-out") return;
    own.failure = failure;
  } finally {
    clearTimeout(slow);
  }
  draw();
  lookAgain(own);
}

/** Loads the view again while jobs wait: after 2, 4, 8 … seconds, and at last once a minute. */
function lookAgain(own) {
  clearTimeout(own.timer);
  if (!own.view.waits?.(own.data ?? {})) return (own.pause = 1000);
  own.pause = Math.min((own.pause ?? 1000) * 2, MINUTE);
  own.timer = setTimeout(() => own === current && document.visibilityState === "visible" && refresh(), own.pause);
}

function draw() {
  const { view, data, failure, address } = current;
  const parts = data === null ? [] : view.draw(data, address, current);
  const problem = failure && problemBox(failure);
  const notes = current.notes.length ? el("ul", "notes", current.notes.map((text) => el("li", null, text))) : null;
  swap(byId("main"), [heading(), notes, problem, parts]);
  byId("main").dataset.ready = location.hash;
  drawBanners();
}

/** Replaces the content. The focus and open parts stay where they are, by their ids. */
function swap(main, parts) {
  const focused = main.contains(document.activeElement) ? document.activeElement.id : null;
  const open = [...main.querySelectorAll("details[open][id]")].map((part) => part.id);
  main.className = `view-${current.address?.name || "find"}`;
  main.removeAttribute("aria-busy");
  main.replaceChildren(...[parts].flat(Infinity).filter(Boolean));
  open.forEach((name) => byId(name)?.setAttribute("open", ""));
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

const heading = () => el("h1", { tabindex: "-1", id: "heading" }, current.view.heading(current.address));

/** Shows the heading of a new view at once, with the focus on it. */
function drawHeading() {
  const name = current.view.title(current.address);
  document.title = `${name} – ${session.config.title ?? say("title")}`;
  document.body.classList.toggle("has-dock", Boolean(current.view.hasDock));
  swap(byId("main"), [heading()]);
  delete byId("main").dataset.ready;
  scrollTo(0, 0);
  byId("heading").focus({ preventScroll: true });
}

function skeleton() {
  const main = byId("main");
  main.setAttribute("aria-busy", "true");
  main.append(el("div", { class: "skeleton", role: "status" }, el("span", "unseen", say("loading")), el("i"), el("i"), el("i")));
}

function drawMissing() {
  current.view = { heading: () => say("missing"), title: () => say("missing") };
  drawFrame();
  drawHeading();
  byId("main").append(el("p", null, link("#/", say("nav.find"))));
  byId("main").dataset.ready = location.hash;
}

function problemBox(failure) {
  const known = { refused: "error.refused", offline: "error.offline", busy: "error.busy", unavailable: "error.unavailable" };
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("p", null, say(known[failure.kind] ?? "error.broken")),
    failure.problem?.detail && el("p", null, quote(failure.problem.detail)),
    failure.request && el("p", "soft", say("error.request", { id: failure.request })),
    button(say("retry"), refresh, { id: "retry" }),
  );
}

/** A page with one text and nothing else. */
function alone(key, failure) {
  const again = failure && button(say("retry"), () => location.reload());
  byId("main").replaceChildren(el("h1", null, session.config.title ?? say("title")), el("p", null, say(key)), failure ? problemText(failure) : "", again || "");
  byId("main").className = "alone";
}

const problemText = (failure) => (failure.problem?.detail ? el("p", "soft", quote(failure.problem.detail)) : "");

/** Draws the bar and the navigation. */
function drawFrame() {
  const { address, view } = current ?? {};
  const back = view && !view.isTop ? el("a", { href: "#/", class: "back", onclick: goBack, "aria-label": say("back") }, "‹") : null;
  const person = link("#/you", [el("span", { class: "avatar", "aria-hidden": "true" }, [...callerName()][0]?.toUpperCase()), el("span", { class: "person", "aria-hidden": "true" }, id(callerName())), el("span", "unseen", say("nav.you", { caller: callerName() }))], { class: "you" });
  byId("bar").replaceChildren(...[el("a", { href: "#main", class: "skip", onclick: skip }, say("skip")), back, el("a", { href: "#/", class: "brand" }, "chat-signer"), el("p", { id: "live", class: "live" }), person].filter(Boolean));
  const items = NAV.filter((name) => name === "" || name === "places" || mayEverywhere("read-moderation") || (name === "live" && maySomewhere("read-moderation")));
  byId("nav").ariaLabel = say("nav");
  byId("nav").replaceChildren(el("ul", null, items.map((name) => navItem(name, address?.name))));
  byId("nav").hidden = false;
  onLive();
  if (items.includes("queue") && !(Date.now() - countDeadLetters.time < MINUTE)) countDeadLetters();
  else showDeadLetters();
}

function navItem(name, here) {
  const item = link(`#/${name}`, [el("span", null, say(`nav.${name || "find"}`)), name === "queue" && el("span", { id: "dead-letters", class: "badge", hidden: true })]);
  if (here === name) item.setAttribute("aria-current", "page");
  const lists = name === "" && mayEverywhere("read-moderation") ? ["bans", "mutes", "roles", "blocks"] : [];
  const sub = lists.map((kind) => el("li", "sub", link(`#/list/${kind}`, say(`list.all.${kind}`))));
  return [el("li", null, item), ...sub];
}

const goBack = (event) => window.history.length > 1 && (event.preventDefault(), window.history.back());
const skip = (event) => (event.preventDefault(), byId("heading")?.focus());

async function countDeadLetters() {
  countDeadLetters.time = Date.now();
  const groups = await read("enforcements/groups").catch(() => null);
  countDeadLetters.found = groups?.dead_letters;
  showDeadLetters();
}

function showDeadLetters() {
  const { found } = countDeadLetters;
  const badge = byId("dead-letters");
  if (!badge || !Number.isInteger(found)) return;
  badge.hidden = found === 0;
  badge.replaceChildren(String(found), el("span", "unseen", ` ${say("queue.dead")}`));
}

/** Shows what is wrong with the server, the network or the page. */
function drawBanners() {
  const { moderation = {}, console: settings } = session.abilities ?? {};
  const banners = [];
  const bound = () => when(Date.now() - (moderation.heard_ms ?? 0) + (moderation.max_staleness_ms ?? 0), { seconds: true });
  if (connection.offlineSince) banners.push(["bad", tell("banner.offline", { time: when(current?.loaded ?? connection.offlineSince, { seconds: true }) })]);
  const state = moderation.state;
  if (state === "behind") banners.push(["mixed", tell("banner.behind", { n: Math.round((moderation.heard_ms ?? 0) / 1000), time: bound() })]);
  if (["stale", "refused", "broken"].includes(state)) banners.push(["bad", tell(`banner.${state}`)]);
  if (state === "none") banners.push(["info", tell("banner.none")]);
  if (Math.abs(clockError()) >= 1) banners.push(["info", tell(clockError() > 0 ? "banner.slow" : "banner.fast", { n: Math.abs(clockError()) })]);
  const ends = Date.parse(session.abilities?.caller?.until) - Date.now();
  if (ends < 5 * MINUTE) banners.push(["mixed", [tell("banner.ends", { time: clock(session.abilities.caller.until) }), " ", button(say("sign-in.do"), () => askToSignIn(started), { class: "small" })]]);
  if (connection.build && session.abilities && session.abilities.build !== connection.build) banners.push(["info", [say("banner.newer"), " ", button(say("banner.load"), () => location.reload(), { class: "small" })]]);
  document.body.classList.toggle("read-only", Boolean(connection.offlineSince) || ["stale", "refused", "broken", "none"].includes(state));
  const shown = banners.map(([kind, text]) => el("div", `banner ${kind}`, text, kind === "bad" && settings?.help ? [" ", el("a", { href: settings.help, rel: "noreferrer" }, say("help"))] : null));
  const before = byId("banners").textContent;
  byId("banners").replaceChildren(...shown);
  const bad = byId("banners").querySelector(".bad");
  if (bad && !before.includes(bad.textContent.slice(0, 20))) announce(bad.textContent, "alarm");
}

/** Called with each failure of a request, and with null after a success. */
function onRequest(failure) {
  if (failure?.kind === "signed-out" && session.abilities) return void (stop(), askToSignIn(started));
  const offline = failure?.kind === "offline" || !navigator.onLine;
  if (offline !== Boolean(connection.offlineSince)) {
    connection.offlineSince = offline ? Date.now() : null;
    drawBanners();
  }
  if (failure?.kind === "unavailable" && !recheck.running) recheck();
}

/** Asks again who the caller is and how the server is. */
async function recheck() {
  recheck.running = true;
  const before = callerName();
  try {
    await loadAbilities();
    if (callerName() !== before) await started(before);
    else drawBanners();
  } catch {
    // The failure was reported by `onRequest`.
  }
  recheck.running = false;
}

function minute() {
  if (document.visibilityState !== "visible" || !session.abilities) return;
  refreshTimes();
  recheck();
  if (byId("dead-letters")) countDeadLetters();
}

function onLive() {
  const element = byId("live");
  if (!element) return;
  element.className = `live ${live.state}`;
  element.replaceChildren(...(live.state === "poll" ? tell("live.poll", { time: clock(live.since) }) : tell(`live.${live.state}`)));
  if (live.state === "live" && current?.loaded && current.loaded < live.since) refresh();
}

/** Something happened. If the view shows it, the view is loaded again, at most four times a second. */
function onEvent(event) {
  if (!current?.view?.concerns?.(event, current)) return;
  current.view.onEvent?.(event, current);
  onEvent.timer ??= setTimeout(() => {
    onEvent.timer = null;
    if (current?.view?.append) current.view.append(current);
    else refresh();
  }, 250);
}

function onReset() {
  note(say("live.reset"));
  refresh();
}

/** Adds a line above the view, which stays until another view is opened. */
function note(parts, view = current) {
  view.notes = [...view.notes, parts].slice(-3);
  announce(flatten(parts));
}

begin();
