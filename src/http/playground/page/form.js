// The form: what is asked by whom, as a plain object, and the same in the address, so that a situation can be linked.

import { byId, el, fill } from "./dom.js";

const form = byId("form");
const control = (name) => form.elements.namedItem(name);
const FIELDS = ["client_id", "conv_id", "members", "capability", "ttl"];
const GROUP = "5f3c2a1b9e8d7c6b5a493827";

const CAPABILITY = { "chat:lobby": ["subscribe", "publish", "message-delete-any"], "user:tom": ["subscribe"] };

/** Situations out of the shipped policy. */
const EXAMPLES = [
  ["alice logs in", { as: "alice", app: "leancloud", action: "login" }],
  ["tom kicks bob: refused", { as: "tom", app: "leancloud", action: "kick", conv_id: GROUP, members: "bob" }],
  ["bob kicks tom", { as: "bob", app: "leancloud", action: "kick", conv_id: GROUP, members: "tom" }],
  ["mallory is banned", { as: "mallory", app: "ably", action: "token", capability: pretty({ "chat:lobby": ["subscribe"] }) }],
  ["An Ably token, partly granted", { as: "tom", app: "ably", action: "token", capability: pretty(CAPABILITY) }],
  ["The same, as a moderator", { as: "tom", role: "moderator", app: "ably", action: "token", capability: pretty(CAPABILITY) }],
  ["A TalkJS token for zoe", { as: "zoe", app: "talkjs", action: "token", ttl: "30m" }],
  ["A backend acts for tom", { service: "orders", app: "leancloud", action: "history", client_id: "tom", conv_id: GROUP }],
];

let world;

function pretty(value) {
  const lines = Object.entries(value).map(([name, words]) => `  ${JSON.stringify(name)}: [${words.map((word) => JSON.stringify(word)).join(", ")}]`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** Offers what the configuration knows. `changed` is called on every change, `ask` when a situation is complete. */
export function start(known, { changed, ask }) {
  world = known;
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

/** Shows which of the examples this is, if it is one. */
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

/** Whether the configuration is such that an example means something. */
function fits({ app, action, service }) {
  const known = world.apps.find(({ name }) => name === app);
  return known?.operations.includes(action) && (service ? services().some(({ id }) => id === service) : users().length > 0);
}

const services = () => world.callers.filter((caller) => caller.key);
const users = () => world.callers.filter((caller) => caller.tokens);

/** A role as it is offered, and what is wrong with it, if anything is. */
function role(word) {
  const highest = world.roles.indexOf(users()[0]?.max_role);
  const counts = world.roles.indexOf(word) <= highest;
  return [word, counts ? word : `${word} (not believed)`];
}

/** The situation in the form. */
export function read() {
  const kind = control("kind").value;
  const caller = kind === "service" ? { service: control("service").value } : { as: control("as").value.trim() };
  const role = kind === "user" && control("role").value ? { role: control("role").value } : {};
  const situation = { ...caller, ...role, app: control("app").value, action: control("action").value };
  for (const field of FIELDS.filter(taken)) {
    const value = control(field).value.trim();
    if (value) situation[field] = value;
  }
  return situation;
}

/** Puts a situation into the form. Returns the name of a choice in it that the form doesn't have, if there is one. */
export function write(situation) {
  control("kind").value = situation.service ? "service" : "user";
  control("as").value = situation.as ?? "";
  control("role").value = "";
  for (const name of ["service", "role", "app"]) choose(name, situation[name]);
  arrange();
  choose("action", situation.action);
  for (const field of FIELDS) control(field).value = situation[field] ?? "";
  arrange();
  return ["service", "role", "app", "action"].find((name) => situation[name] && control(name).value !== situation[name]);
}

/** Makes a choice, if it is offered. */
function choose(name, value) {
  if ([...control(name).options].some((option) => option.value === value)) control(name).value = value;
}

/** Shows the fields that this caller and action have. */
function arrange() {
  const { operations } = chosenApp();
  const action = control("action");
  const before = action.value;
  if (operations.join() !== [...action.options].map((option) => option.value).join()) {
    fill(action, operations);
    if (operations.includes(before)) action.value = before;
  }
  for (const place of form.querySelectorAll("[data-kind]")) place.hidden = place.dataset.kind !== control("kind").value;
  for (const place of form.querySelectorAll("[data-field]")) place.hidden = !taken(place.dataset.field);
}

const chosenApp = () => world.apps.find((app) => app.name === control("app").value) ?? world.apps[0];

/** Whether the chosen action has a field. */
function taken(field) {
  const action = control("action").value;
  switch (chosenApp().vendor) {
    case "leancloud":
      if (field === "conv_id") return !["login", "create"].includes(action);
      if (field === "members") return ["create", "invite", "kick", "block-clients", "unblock-clients"].includes(action);
      return field === "client_id";
    case "talkjs":
      return (field === "client_id" && action !== "app-token") || (field === "ttl" && action === "token");
    default:
      return ["client_id", "capability", "ttl"].includes(field);
  }
}

/**
 * The request that a situation makes.
 * @throws {Error} in words for the page, if a field can't be read.
 */
export function request(situation) {
  const app = world.apps.find(({ name }) => name === situation.app);
  const body = {};
  if (situation.client_id) body[app.vendor === "talkjs" ? "user_id" : "client_id"] = situation.client_id;
  if (situation.conv_id) body.conv_id = situation.conv_id;
  if (situation.members) body.members = situation.members.split(",").map((member) => member.trim());
  if (situation.capability) body.capability = parse(situation.capability);
  if (situation.ttl) body.ttl = /^\d+$/.test(situation.ttl) ? Number(situation.ttl) : situation.ttl;
  return { path: `${app.name}/${situation.action}`, body };
}

function parse(capability) {
  try {
    return JSON.parse(capability);
  } catch (error) {
    throw new Error(`The capability is not JSON: ${error.message}`);
  }
}

/** The service of a situation, with its header and key. */
export const service = (situation) => services().find(({ id }) => id === situation.service);

/** A situation as the address has it. */
export function toHash(situation) {
  const order = ["as", "role", "service", "app", "action", ...FIELDS];
  return `#${new URLSearchParams(order.filter((name) => situation[name]).map((name) => [name, situation[name]]))}`;
}

/** The situation in the address; the first example where there is none. */
export function fromHash(hash) {
  const situation = Object.fromEntries(new URLSearchParams(hash.slice(1)));
  return situation.app && situation.action ? situation : EXAMPLES.find(([, it]) => fits(it))?.[1];
}
