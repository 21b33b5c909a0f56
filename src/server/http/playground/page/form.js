// The form. A situation is a caller and a request as a plain object. The address also contains it, so it can be linked.

import { byId, el, fill } from "./dom.js";
import { input, parse } from "./fields.js";

const form = byId("form");
const control = (name) => form.elements.namedItem(name);
const GROUP = "5f3c2a1b9e8d7c6b5a493827";

const CAPABILITY = { "chat:lobby": ["subscribe", "publish", "message-delete-any"], "user:tom": ["subscribe"] };

/** Examples for the shipped policy. */
const EXAMPLES = [
  ["alice logs in", { as: "alice", app: "leancloud", action: "login" }],
  ["tom kicks bob: refused", { as: "tom", app: "leancloud", action: "kick", conv_id: GROUP, members: "bob" }],
  ["bob kicks tom", { as: "bob", app: "leancloud", action: "kick", conv_id: GROUP, members: "tom" }],
  ["mallory is banned", { as: "mallory", app: "ably", action: "token", capability: pretty({ "chat:lobby": ["subscribe"] }) }],
  ["An Ably token, partly granted", { as: "tom", app: "ably", action: "token", capability: pretty(CAPABILITY) }],
  ["The same, as a moderator", { as: "tom", role: "moderator", app: "ably", action: "token", capability: pretty(CAPABILITY) }],
  ["A TalkJS token for zoe", { as: "zoe", app: "talkjs", action: "token", ttl: "30m" }],
  ["A LiveKit room", { as: "tom", app: "livekit", action: "token", room_name: "chat:lobby" }],
  ["A presence channel at Pusher", { as: "tom", app: "pusher", action: "channel-auth", socket_id: "1234.1234", channel_name: "presence-chat.42" }],
  ["A backend acts for tom", { service: "orders", app: "leancloud", action: "history", client_id: "tom", conv_id: GROUP }],
];

let world;
let openapi;

/** The controls of the chosen action, by the name of the field. */
let fields = new Map();

function pretty(value) {
  const lines = Object.entries(value).map(([name, words]) => `  ${JSON.stringify(name)}: [${words.map((word) => JSON.stringify(word)).join(", ")}]`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** Fills the form with the names in the configuration. Calls `changed` on every change, and `ask` to send the request. */
export function start(known, description, { changed, ask }) {
  [world, openapi] = [known, description];
  fill(control("app"), world.apps.map((app) => app.name));
  fill(control("service"), services().map((service) => service.id));
  fill(control("role"), [["", "none"], ...world.roles.map(role)]);
  fill(byId("people"), world.people);
  fill(byId("conversations"), world.conversations.map(({ id, kind }) => [id, kind]));
  for (const [name, kind] of [["user", users()], ["service", services()]]) {
    form.querySelector(`input[value=${name}]`).disabled = kind.length === 0;
  }
  form.addEventListener("input", () => {
    arrange();
    changed();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) ask();
  });
  byId("examples").append(...EXAMPLES.filter(([, it]) => fits(it)).map(([text, it]) => chip(text, it, ask)));
}

/** Marks the example that this situation is, if it is one. */
export function mark(situation) {
  for (const button of byId("examples").querySelectorAll("button")) {
    button.ariaCurrent = button.value === toHash(situation) ? "true" : null;
  }
}

function chip(text, situation, ask) {
  const button = el("button", null, text);
  button.type = "button";
  button.value = toHash(situation);
  button.addEventListener("click", () => {
    write(situation);
    ask();
  });
  return el("li", null, button);
}

/** Returns true if the configuration has the app, action and caller of an example. */
function fits({ app, action, service }) {
  const known = world.apps.find(({ name }) => name === app);
  return known?.operations.includes(action) && (service ? services().some(({ id }) => id === service) : users().length > 0);
}

const services = () => world.callers.filter((caller) => caller.key);
const users = () => world.callers.filter((caller) => caller.tokens);

/** Returns a role as an option. A role above the limit of the authenticator is marked. */
function role(word) {
  const highest = world.roles.indexOf(users()[0]?.max_role);
  const counts = world.roles.indexOf(word) <= highest;
  return [word, counts ? word : `${word} (not accepted)`];
}

/** Returns the situation in the form. */
export function read() {
  const kind = control("kind").value;
  const caller = kind === "service" ? { service: control("service").value } : { as: control("as").value.trim() };
  const role = kind === "user" && control("role").value ? { role: control("role").value } : {};
  const situation = { ...caller, ...role, app: control("app").value, action: control("action").value };
  for (const [name, field] of fields) {
    const value = field.value.trim();
    if (value) situation[name] = value;
  }
  return situation;
}

/** Puts a situation into the form. Returns the name of the first field whose value the form does not offer, if any. */
export function write(situation) {
  control("kind").value = situation.service ? "service" : "user";
  control("as").value = situation.as ?? "";
  control("role").value = "";
  for (const name of ["service", "role", "app"]) choose(name, situation[name]);
  arrange();
  choose("action", situation.action);
  arrange();
  for (const [name, field] of fields) field.value = situation[name] ?? "";
  return ["service", "role", "app", "action"].find((name) => situation[name] && control(name).value !== situation[name]);
}

/** Selects a value, if the field offers it. */
function choose(name, value) {
  if ([...control(name).options].some((option) => option.value === value)) control(name).value = value;
}

/** Shows the fields of this caller and action, and hides the others. */
function arrange() {
  const { operations } = chosenApp();
  const action = control("action");
  const before = action.value;
  if (operations.join() !== [...action.options].map((option) => option.value).join()) {
    fill(action, operations);
    if (operations.includes(before)) action.value = before;
  }
  for (const place of form.querySelectorAll("[data-kind]")) place.hidden = place.dataset.kind !== control("kind").value;
  arrangeFields();
}

/** Makes the fields of the chosen action. Fields of the same name keep their text. */
function arrangeFields() {
  const app = chosenApp();
  const place = byId("fields");
  const chosen = `${app.name}/${control("action").value}`;
  if (place.dataset.action === chosen) return;
  place.dataset.action = chosen;
  const before = fields;
  const route = openapi.paths[`/v1/${chosen}`];
  const made = app.fields[control("action").value].map((name) => input(name, app, route, openapi.components.schemas)).filter(Boolean);
  fields = new Map(made.map(({ field }) => [field.name, field]));
  for (const [name, field] of fields) field.value = before.get(name)?.value ?? "";
  place.replaceChildren(...made.map(({ row }) => row));
}

const chosenApp = () => world.apps.find((app) => app.name === control("app").value) ?? world.apps[0];

/**
 * Returns the request of a situation.
 * @throws {Error} with a message for the page, if a field cannot be parsed.
 */
export function request(situation) {
  const body = {};
  for (const [name, field] of fields) {
    if (situation[name]) body[name] = parse(field, situation[name]);
  }
  return { path: `${situation.app}/${situation.action}`, body };
}

/** Returns the service of a situation, with its header and key. */
export const service = (situation) => services().find(({ id }) => id === situation.service);

/** Returns a situation as the fragment of the address. */
export function toHash(situation) {
  const first = ["as", "role", "service", "app", "action"];
  const names = [...first, ...Object.keys(situation).filter((name) => !first.includes(name))];
  return `#${new URLSearchParams(names.filter((name) => situation[name]).map((name) => [name, situation[name]]))}`;
}

/** Returns the situation in the address, or the first example if there is none. */
export function fromHash(hash) {
  const situation = Object.fromEntries(new URLSearchParams(hash.slice(1)));
  return situation.app && situation.action ? situation : EXAMPLES.find(([, it]) => fits(it))?.[1];
}
