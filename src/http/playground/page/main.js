// Asks the real routes as whoever is chosen, and shows what came of it.

import { byId } from "./dom.js";
import * as form from "./form.js";
import { show, trouble, waiting } from "./result.js";

/** Counts the requests, so that an answer that was overtaken is not shown. */
let latest = 0;

await begin();

async function begin() {
  const world = await (await fetch("/playground/world")).json();
  form.start(world, { changed: () => (byId("stale").hidden = false), ask: () => ask().then(reveal) });
  addEventListener("hashchange", open);
  open();
}

/** Asks what the address says. */
function open() {
  const situation = form.fromHash(location.hash);
  if (!situation) return;
  const unknown = form.write(situation);
  if (!unknown) return ask();
  latest += 1;
  form.mark(situation);
  trouble(`The address names the ${unknown} ${situation[unknown]}, and there is none of that name here.`);
}

async function ask() {
  const number = ++latest;
  const situation = form.read();
  history.replaceState(null, "", form.toHash(situation));
  form.mark(situation);
  byId("stale").hidden = true;
  waiting();
  try {
    const outcome = await follow(situation);
    if (number === latest) show(outcome);
  } catch (error) {
    if (number === latest) trouble(error.message);
  }
}

/** Where the verdict is below the fold, as on a phone, goes there. */
function reveal() {
  const verdict = byId("verdict");
  if (verdict.getBoundingClientRect().top > innerHeight - 120) verdict.scrollIntoView();
}

/** The whole way of one request: the caller's credential, the real route's answer, and the reasons behind it. */
async function follow(situation) {
  const { path, body } = form.request(situation);
  const credential = await prove(situation);
  const request = { path: `/v1/${path}`, headers: { ...credential, "content-type": "application/json" }, body };
  const answer = await post(request.path, request.headers, body);
  const asked = { request: body, answer: answer.ok ? answer.text : null };
  const explained = await post(`/playground/explain/${path}`, request.headers, asked);
  const reasons = JSON.parse(explained.text);
  return { situation, request, answer, reasons: explained.ok ? reasons : null, problem: explained.ok ? null : reasons };
}

/** The header that says who asks. */
async function prove(situation) {
  if (situation.service) {
    const { header, key } = form.service(situation);
    return { [header]: key };
  }
  const roles = situation.role ? [situation.role] : [];
  const made = await post("/playground/token", { "content-type": "application/json" }, { subject: situation.as, roles });
  const { token, detail } = JSON.parse(made.text);
  if (!made.ok) throw new Error(`There is no such caller: ${detail}`);
  return { authorization: `Bearer ${token}` };
}

async function post(path, headers, body) {
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("There is no answer. Is the server still running?");
  }
  const { ok, status, statusText } = response;
  return { ok, status, statusText, headers: response.headers, text: await response.text() };
}
