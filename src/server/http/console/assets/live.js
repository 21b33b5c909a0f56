// The stream of events. A hidden page has none. If there is no stream, the view is loaded again every 15 seconds.

import { Failure, openStream } from "./api.js";

const SILENCE = 40_000;
const POLL = 15_000;

/** `live`, `off` (nothing is known yet), or `poll`. */
export const live = { state: "off", since: null };

let scope = null;
let stopper = null;
let last = null;
let attempts = 0;
let timer = null;
let hiding = null;
let handlers = { event() {}, state() {}, poll() {}, reset() {}, failure() {} };

/** Follows the events of a scope, `{}` or `{ conversation }`. `null`: there is nothing to follow, so the view is polled. */
export function follow(wanted, given) {
  handlers = given ?? handlers;
  const same = JSON.stringify(scope) === JSON.stringify(wanted) && stopper;
  if (same) return;
  scope = wanted;
  last = null;
  restart();
}

/** Ends the stream, for good. */
export function stop() {
  scope = undefined;
  end();
}

function restart() {
  end();
  attempts = 0;
  if (scope !== undefined && document.visibilityState === "visible") connect();
}

function end() {
  clearTimeout(timer);
  stopper?.abort();
  stopper = null;
}

function setState(state) {
  if (live.state === state) return;
  Object.assign(live, { state, since: Date.now() });
  handlers.state();
}

async function connect() {
  if (!scope) return poll();
  const own = (stopper = new AbortController());
  const began = Date.now();
  let failure = null;
  try {
    const response = await openStream(scope, last, own.signal);
    setState("live");
    attempts = 0;
    await readEvents(response.body, own);
  } catch (error) {
    failure = error instanceof Failure ? error : null;
  }
  if (stopper !== own) return;
  stopper = null;
  if (failure?.kind === "signed-out") return handlers.failure(failure);
  if (failure?.kind === "refused") scope = null;
  if (Date.now() - began > 60_000) attempts = 0;
  if (attempts > 0 || failure) setState("poll");
  const pause = Math.min(1000 * 2 ** attempts++, 30_000) * (0.8 + 0.4 * Math.random());
  timer = setTimeout(live.state === "poll" ? poll : connect, !failure || failure.kind === "offline" ? pause : POLL);
}

/** Loads the view again, and tries the stream again. */
async function poll() {
  setState("poll");
  await handlers.poll();
  timer = setTimeout(() => (scope ? connect() : poll()), scope ? 0 : POLL);
}

async function readEvents(body, own) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => own.abort(), SILENCE);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const blocks = (text + value).split(/\r?\n\r?\n/);
    text = blocks.pop();
    blocks.forEach(readBlock);
  }
}

function readBlock(block) {
  const fields = {};
  for (const line of block.split(/\r?\n/)) {
    const [, name, value] = line.match(/^(\w+): ?(.*)$/) ?? [];
    if (name) fields[name] = fields[name] === undefined ? value : `${fields[name]}\n${value}`;
  }
  if (fields.id) last = fields.id;
  if (fields.event === "reset") return handlers.reset();
  if (fields.data === undefined) return;
  try {
    handlers.event({ type: fields.event, ...JSON.parse(fields.data) });
  } catch {
    handlers.reset();
  }
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") hiding = setTimeout(end, 5000);
  else if (!stopper) resume();
});
addEventListener("online", () => resume());
addEventListener("pageshow", (event) => event.persisted && resume());

function resume() {
  if (scope === undefined) return;
  restart();
  handlers.poll();
}
