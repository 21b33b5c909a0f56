// Changes the moderation entries by the real routes. After a change, the page sends the request again and lists the entries again.

import { byId, copy, el, fill } from "./dom.js";
import { detail, prove, send } from "./http.js";

const form = byId("moderation");
const fold = byId("moderate");
const control = (name) => form.elements.namedItem(name);

/** The kinds of entries: the route, the route that takes an entry back, and the words for people. */
const KINDS = {
  ban: { path: "bans", undo: "bans/lift", done: "is banned", button: "Lift" },
  mute: { path: "mutes", undo: "mutes/lift", done: "is muted", button: "Lift" },
  role: { path: "roles", undo: "roles/remove", done: "has the role", button: "Remove" },
};

let services;

/** The number of the last list. Earlier lists that arrive later are not shown. */
let latest = 0;

/** Fills the form. Calls `changed` after each change of the entries. */
export function start(world, changed) {
  services = world.callers.filter((caller) => caller.key);
  const users = world.callers.some((caller) => caller.tokens) ? world.people : [];
  fill(control("moderator"), [...services.map(({ id }) => [`service ${id}`, `${id}, a service`]), ...users.map((name) => [`user ${name}`, name])]);
  fill(control("role"), world.roles);
  form.addEventListener("input", arrange);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(KINDS[control("kind").value].path, written(), changed);
  });
  fold.addEventListener("toggle", () => fold.open && list(changed));
  byId("console").hidden = !(world.console && users.length);
  byId("console-token").addEventListener("click", copyToken);
  arrange();
}

/** Copies a token of the owner of a conversation, for the console. */
async function copyToken({ target }) {
  const { authorization } = await prove({ as: "alice" });
  copy(target, authorization.replace("Bearer ", ""));
}

function arrange() {
  for (const place of form.querySelectorAll("[data-kind]")) place.hidden = (place.dataset.kind === "role") !== (control("kind").value === "role");
}

/** Returns the entry in the form, as the fields of the route. */
function written() {
  const kind = control("kind").value;
  const conversation = control("conversation").value.trim();
  const reason = control("reason").value.trim();
  return {
    users: [control("user").value.trim()],
    ...(conversation && { conversation }),
    ...(kind === "role" ? { role: control("role").value } : reason && { reason }),
  };
}

/** Returns the chosen moderator as a caller. */
function moderator() {
  const [kind, ...words] = control("moderator").value.split(" ");
  const name = words.join(" ");
  return kind === "service" ? { service: services.find(({ id }) => id === name) } : { as: name };
}

/** Sends a command, and says what came of it. At the same time, the request is sent again and the entries are listed again. */
async function act(path, body, changed) {
  try {
    const answer = await send("POST", `/v1/moderation/${path}`, await prove(moderator()), body);
    const { failed = [] } = answer.ok ? JSON.parse(answer.text) : {};
    if (answer.ok && !failed.length) {
      say(true, "Done. Your request was sent again.");
      changed();
    } else say(false, failed[0]?.reason ?? detail(answer));
  } catch (error) {
    say(false, error.message);
  }
  list(changed);
}

function say(good, text) {
  const place = byId("moderated");
  place.className = good ? "good" : "bad";
  place.textContent = text;
}

/** Shows the entries that were made while the server runs, each with a button that takes it back. */
async function list(changed) {
  const number = ++latest;
  try {
    const reader = await prove(services.length ? { service: services[0] } : moderator());
    const lists = await Promise.all(Object.keys(KINDS).map((kind) => entriesOf(kind, reader)));
    const rows = lists.flat().map(([kind, entry]) => row(kind, entry, changed));
    if (number === latest) byId("entries").replaceChildren(...(rows.length ? rows : [el("li", "aside", "No entries yet.")]));
  } catch (error) {
    if (number === latest) say(false, error.message);
  }
}

/** Returns the entries of a kind, each with its kind. A role that was removed leaves an entry without a role, which is not shown. */
async function entriesOf(kind, reader) {
  const answer = await send("GET", `/v1/moderation/${KINDS[kind].path}?limit=50`, reader);
  const { entries = [] } = answer.ok ? JSON.parse(answer.text) : {};
  return entries.filter((entry) => entry.source === "moderation" && (kind !== "role" || entry.role)).map((entry) => [kind, entry]);
}

function row(kind, { user, conversation, app, role, reason, by }, changed) {
  const { undo, done, button: word } = KINDS[kind];
  const button = el("button", "copy", word);
  button.type = "button";
  button.ariaLabel = `${word}: ${user} ${done}`;
  const where = { ...(conversation && { conversation }), ...(app && { app }) };
  button.addEventListener("click", () => act(undo, { users: [user], ...where, ...(kind === "role" && { role }) }, changed));
  const place = (conversation ?? "*") === "*" ? " everywhere" : [" in ", el("code", null, conversation)];
  return el("li", "titled", el("p", null, el("strong", null, user), ` ${done} ${role ?? ""}`.trimEnd(), place, `, by ${by.subject}`, reason ? `: ${reason}` : null), button);
}
