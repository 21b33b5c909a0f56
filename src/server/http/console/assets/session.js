// Who uses the page, what the policy allows this caller, and signing in and out.

import { Failure, hasToken, read, useToken } from "./api.js";
import { announce, button } from "./dom.js";
import { byId, el } from "./elements.js";
import { id, say, tell } from "./text.js";
import { learn } from "./time.js";

/** What the page knows about the caller. `config` is public; `abilities` is the answer for no place. */
export const session = { config: {}, abilities: null };

const channel = new BroadcastChannel("console");
let whenSignedIn = null;

/** Loads the public configuration. */
export async function loadConfig() {
  const response = await fetch("/console/config", { cache: "no-store" }).catch(() => null);
  session.config = (await response?.json().catch(() => null)) ?? {};
}

/** Loads what the caller may do. With a place, also what it may do there. */
export async function loadAbilities(query = {}) {
  const abilities = await read("abilities", query);
  if (typeof abilities.caller?.subject !== "string") throw new Failure("broken");
  learn(abilities.now, true);
  if (!query.conversation && !query.app) session.abilities = abilities;
  return abilities;
}

/** Whether the policy may allow the action everywhere. */
export const mayEverywhere = (action) => session.abilities?.everywhere?.[action]?.allowed === true;

/** Whether the action may be allowed somewhere that is known. */
export const maySomewhere = (action) => mayEverywhere(action) || places().some((place) => place.may?.includes(action));

/** Whether the action may be allowed in a place. `abilities` is the answer for this place. */
export const mayHere = (action, abilities) => (abilities?.here?.may ?? abilities?.everywhere)?.[action]?.allowed === true;

/** The places that are known to be the caller's. */
export const places = () => session.abilities?.places ?? [];

/** Whether the change could be made by this server at all: there is a store, and it is usable. */
export const storeIsUsable = () => ["ok", "behind"].includes(session.abilities?.moderation?.state);

/** The name of the caller, to compare and to show. */
export const callerName = (abilities = session.abilities) => abilities?.acting_as ?? abilities?.caller?.subject;

/** Opens the form for signing in above the view. Calls `done` with the caller of before when somebody is signed in. */
export function askToSignIn(done) {
  const dialog = byId("sign-in");
  whenSignedIn = done;
  if (dialog.open) return;
  const known = session.abilities !== null;
  const problem = el("p", { id: "sign-in-problem", class: "problem", role: "alert", hidden: true });
  dialog.replaceChildren(
    el("p", "brand", "chat-signer"),
    el("h1", { id: "sign-in-title", tabindex: "-1" }, session.config.title ?? say("title")),
    el("p", null, say(known ? "sign-in.ended" : "sign-in.intro")),
    ...ways(problem),
    problem,
  );
  dialog.showModal();
  byId("sign-in-title").focus();
  if (known) announce(say("sign-in.ended"), "alarm");
}

function ways(problem) {
  const ways = [];
  const { sign_in: address, token = [] } = session.config;
  if (address) ways.push(button(say("sign-in.app"), () => goToSignIn(address), { class: "primary wide" }));
  if (token.includes("paste")) ways.push(tokenForm(problem));
  if (!ways.length) ways.push(el("p", null, say("sign-in.none")));
  ways.push(button(say("sign-in.again"), () => tryToSignIn(problem), { class: "wide" }));
  return ways;
}

/** Goes to the app's page for signing in. The address of the view is kept for the way back. */
function goToSignIn(address) {
  sessionStorage.setItem("console.back", location.hash);
  location.assign(address.replace("{return}", encodeURIComponent(location.origin + location.pathname)));
}

function tokenForm(problem) {
  const field = el("input", { id: "token", type: "password", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true });
  const show = button(say("sign-in.show"), () => (field.type = field.type === "password" ? "text" : "password"));
  const submit = (event) => {
    event.preventDefault();
    useToken(field.value.trim());
    field.value = "";
    tryToSignIn(problem);
  };
  return el(
    "form",
    { class: "stack", onsubmit: submit },
    el("label", { for: "token" }, say("sign-in.token")),
    el("div", "row", field, show),
    el("button", { class: "primary wide", type: "submit" }, say("sign-in.use")),
  );
}

async function tryToSignIn(problem) {
  problem.hidden = true;
  const before = callerName();
  try {
    await loadAbilities();
    byId("sign-in").close();
    whenSignedIn?.(before);
  } catch (failure) {
    if (failure.kind === "signed-out") useToken(null);
    problem.hidden = false;
    problem.replaceChildren(...tell(failure.kind === "signed-out" ? "sign-in.refused" : "error.offline"));
  }
}

/** Forgets everything about the caller, and says what the page cannot end. */
export function signOut(here = true) {
  const { sign_out: address } = session.abilities?.console ?? {};
  const ambient = here && !hasToken() && !address;
  useToken(null);
  session.abilities = null;
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("console.")) sessionStorage.removeItem(key);
  if (here) channel.postMessage({ type: "signed-out" });
  history.replaceState(null, "", "#/sign-in");
  document.title = session.config.title ?? say("title");
  for (const part of ["bar", "nav", "banners"]) byId(part).replaceChildren();
  byId("nav").hidden = true;
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  if (here && address) return location.assign(address);
  const again = button(say("sign-in.app"), () => location.reload(), { class: "primary" });
  byId("main").className = "alone";
  byId("main").replaceChildren(el("h1", { tabindex: "-1" }, say("signed-out")), ambient ? el("p", null, say("signed-out.ambient")) : "", again);
  byId("main").firstChild.focus();
}

/** Calls `listener` when another tab of this browser signs out. */
export const watchSignOut = (listener) => channel.addEventListener("message", ({ data }) => data?.type === "signed-out" && listener());

/** Names the author of an entry. */
export function author(by) {
  if (!by) return say("who.unknown");
  const name = by.kind === "service" ? tell("who.service", { id: id(by.subject) }) : [id(by.subject)];
  return by.role ? [...name, ` (${by.role})`] : name;
}
