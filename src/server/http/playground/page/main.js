// Sends the request to the real route as the chosen caller, and shows the result.

import { byId } from "./dom.js";
import * as form from "./form.js";
import { prove, send } from "./http.js";
import * as moderation from "./moderation.js";
import { show, trouble, waiting } from "./result.js";

/** The number of the last request. Answers to earlier requests are not shown. */
let latest = 0;

await begin();

async function begin() {
  const [world, openapi] = await Promise.all(["/playground/world", "/v1/openapi.json"].map(async (path) => (await fetch(path)).json()));
  form.start(world, openapi, { changed: () => (byId("stale").hidden = false), ask: () => ask().then(reveal) });
  moderation.start(world, ask);
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
  const credential = await prove({ ...situation, service: form.service(situation) });
  const request = { path: `/v1/${path}`, headers: { ...credential, "content-type": "application/json" }, body };
  const answer = await send("POST", request.path, credential, body);
  const asked = { request: body, answer: answer.ok ? answer.text : null };
  const explained = await send("POST", `/playground/explain/${path}`, credential, asked);
  const reasons = JSON.parse(explained.text);
  return { situation, request, answer, reasons: explained.ok ? reasons : null, problem: explained.ok ? null : reasons };
}
