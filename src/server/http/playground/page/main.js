// Sends the request to the real route as the chosen caller, and shows the result.

import { byId } from "./dom.js";
import * as form from "./form.js";
import { show, trouble, waiting } from "./result.js";

/** The number of the last request. Answers to earlier requests are not shown. */
let latest = 0;

await begin();

async function begin() {
  const world = await (await fetch("/playground/world")).json();
  form.start(world, { changed: () => (byId("stale").hidden = false), ask: () => ask().then(reveal) });
  addEventListener("hashchange", open);
  open();
}

/** Sends the request in the address. */
function open() {
  const situation = form.fromHash(location.hash);
  if (!situation) return;
  const unknown = form.write(situation);
  if (!unknown) return ask();
  latest += 1;
  form.mark(situation);
  trouble(`The address names the ${unknown} ${situation[unknown]}, which does not exist here.`);
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

/** Scrolls to the verdict if it is below the visible part, as on a phone. */
function reveal() {
  const verdict = byId("verdict");
  if (verdict.getBoundingClientRect().top > innerHeight - 120) verdict.scrollIntoView();
}

/** Does all steps of one request: the credential of the caller, the answer of the real route, and its reasons. */
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

/** Returns the header with the credential of the caller. */
async function prove(situation) {
  if (situation.service) {
    const { header, key } = form.service(situation);
    return { [header]: key };
  }
  const roles = situation.role ? [situation.role] : [];
  const made = await post("/playground/token", { "content-type": "application/json" }, { subject: situation.as, roles });
  const { token, detail } = JSON.parse(made.text);
  if (!made.ok) throw new Error(`This caller is not valid: ${detail}`);
  return { authorization: `Bearer ${token}` };
}

async function post(path, headers, body) {
  let response;
  try {
    response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer. Is the server still running?");
  }
  const { ok, status, statusText } = response;
  return { ok, status, statusText, headers: response.headers, text: await response.text() };
}
