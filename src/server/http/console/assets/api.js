// Requests to the server, and what can become of them.

import { learn } from "./time.js";

/** The token that was pasted. It is kept only here. */
let token = null;
export const useToken = (text) => (token = text);
export const hasToken = () => token !== null;

/**
 * A request without a usable answer. `kind` is `offline`, `signed-out`, `refused` (the request is not allowed or not possible), `busy`,
 * `unavailable`, or `broken`.
 */
export class Failure extends Error {
  constructor(kind, problem = {}, wait = 1) {
    super(problem.detail ?? kind);
    Object.assign(this, { kind, wait, code: problem.code, reason: problem.reason, problem, request: problem.request_id });
  }

  /** Whether a change may have been made although its answer is not known. */
  get isUnclear() {
    return ["offline", "unavailable", "broken", "signed-out"].includes(this.kind);
  }
}

const listeners = new Set();
/** Calls `listener` with each failure (or null after a success). */
export const watchRequests = (listener) => listeners.add(listener);

/** Reads below `/v1/moderation/`. If the server is busy, it tries twice more. */
export async function read(path, query = {}, { signal, tries = 2 } = {}) {
  try {
    return await send(path + asQuery(query), { signal });
  } catch (failure) {
    if (failure.kind !== "busy" || tries === 0) throw failure;
    await new Promise((done) => setTimeout(done, failure.wait * 1000));
    return read(path, query, { signal, tries: tries - 1 });
  }
}

/** Asks for a change, once. */
export const command = (path, body) =>
  send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** Opens the stream of events. */
export const openStream = (query, last, signal) =>
  request(`events${asQuery(query)}`, { signal, headers: { accept: "text/event-stream", ...(last && { "last-event-id": last }) } });

function asQuery(query) {
  const pairs = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return pairs.length ? `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}` : "";
}

async function send(path, options) {
  try {
    const response = await request(path, options);
    const json = await response.json().catch(() => null);
    if (json === null || typeof json !== "object") throw new Failure("broken");
    listeners.forEach((listener) => listener(null));
    return json;
  } catch (failure) {
    if (failure instanceof Failure) listeners.forEach((listener) => listener(failure));
    throw failure;
  }
}

/** Sends a request. Throws a `Failure` unless the answer is a success. */
async function request(path, { headers, ...options } = {}) {
  const credential = token === null ? {} : { authorization: `Bearer ${token}` };
  const all = { cache: "no-store", redirect: "error", credentials: "same-origin", ...options, headers: { ...headers, ...credential } };
  let response;
  try {
    response = await fetch(`/v1/moderation/${path}`, all);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("offline");
  }
  learn(response.headers.get("date"), false);
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Failure(failureKind(response.status, problem?.code), problem ?? {}, Number(response.headers.get("retry-after")) || 1);
}

function failureKind(status, code) {
  if (status === 401) return "signed-out";
  if (status === 429 || code === "overloaded") return "busy";
  if (status === 503 || status === 502 || status === 504) return "unavailable";
  return status < 500 ? "refused" : "broken";
}
