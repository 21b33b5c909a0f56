// The queue: what is carried to vendors and webhooks, dead letters, and one change with how far it has got.

import { command, read } from "./api.js";
import { announce, button, link } from "./dom.js";
import { el } from "./elements.js";
import { mayEverywhere, places, session } from "./session.js";
import { has, id, place, quote, say, tell } from "./text.js";
import { when } from "./time.js";
import { eventRow, isJob, jobState, stages, userAddress, waits } from "./words.js";

const JOBS = 100;
/** How long the page waits for the result of one retry. */
const PATIENCE = 20_000;

/** What was tried, by group: the state (`busy`, `works` or `failed`), and what the page says about it. */
const tried = new Map();

const mayRetry = () => session.abilities.everywhere?.["retry-enforcement"]?.allowed === true;

export const queueView = {
  isTop: true,
  query: ["state", "app", "cause"],
  key: ({ query }) => [query.app, query.cause],
  title: () => say("nav.queue"),
  heading: () => say("nav.queue"),
  load: async ({ query }, signal) => {
    const options = { signal };
    const [summary, dead, waiting] = await Promise.all([
      read("enforcements/groups", {}, options).catch((failure) => (failure.code === "not_found" ? {} : Promise.reject(failure))),
      read("enforcements", { state: "dead-letter", app: query.app, cause: query.cause, limit: JOBS, order: "time" }, options),
      read("enforcements", { state: "pending", app: query.app, limit: 20 }, options),
    ]);
    return { ...summary, dead: dead.entries ?? [], waiting: waiting.entries ?? [] };
  },
  draw: drawQueue,
  concerns: isJob,
  waits,
};

function drawQueue(data, address, current) {
  const { pending = {}, groups = [], dead, waiting } = data;
  const isEmpty = !groups.length && !dead.length && !waiting.length;
  return [
    el("p", "counts", tell("queue.counts", { waiting: pending.count ?? waiting.length, dead: data.dead_letters ?? dead.length }), pending.oldest && [" · ", tell("queue.oldest", { time: when(pending.oldest, { relative: true }) })]),
    isEmpty && el("p", "empty", say("queue.none")),
    dead.length > 0 && !mayRetry() && el("p", "note", say("queue.read-only")),
    groups.length > 0 && el("section", null, el("h2", null, say("queue.failed")), el("ul", "groups", groups.map((group, number) => groupRow(group, number, data, current)))),
    !groups.length && dead.length > 0 && el("section", null, el("h2", null, say("queue.dead")), el("ul", "rows", dead.map((job) => jobRow(job, current)))),
    waiting.length > 0 && el("section", null, el("h2", null, say("queue.waiting")), el("ul", "rows", waiting.map((job) => jobRow(job)))),
  ];
}

/** The vendor's app, or the webhook. */
const targetOf = ({ app, url }) => url ?? app ?? "";

const nameOf = (group) => [targetOf(group), group.state, group.cause, group.error].join();

/** The error of a job as the groups have it: without quoted parts and long numbers. */
const generalize = (error = "") => error.split(" ").map((word) => (/^[`"'].|(\d\D*){5}/.test(word) ? "…" : word)).join(" ");

const isOf = (group) => (job) => targetOf(job) === targetOf(group) && job.state === group.state && job.cause === group.cause && generalize(job.error) === group.error;

function groupRow(group, number, { dead, waiting }, current) {
  const jobs = [...dead, ...waiting].filter(isOf(group));
  const name = nameOf(group);
  const note = tried.get(name);
  const advice = has(`cause.${group.cause}`) ? say(`cause.${group.cause}`) : "";
  return el("li", null, el("details", { id: `group-${number}`, class: "group" },
    el("summary", null, el("span", "group-name", el("strong", null, targetOf(group)), " ", quote((group.error ?? "").replace(`${group.app}: `, "")), el("small", null, advice)), el("span", group.state === "pending" ? "badge pending" : "badge", String(group.count))),
    note && el("p", { class: `note ${note.state === "failed" ? "bad" : ""}`, role: "status" }, note.text),
    retryButtons(group, number, name, jobs, note, current),
    el("ul", "rows", jobs.map((job) => jobRow(job, current)))));
}

/** First one is tried. If it works, the others on the screen can be tried. */
function retryButtons(group, number, name, jobs, note, current) {
  if (group.again === false || group.state !== "dead-letter" || !jobs.length || note?.state === "busy" || !mayRetry()) return null;
  const one = button(say("queue.try-one"), () => tryOne({ ...jobs[0], ...group.sample?.[0] }, name, current), { id: `try-one-${number}` });
  const all = note?.state === "works" && button(say("queue.try-others", { n: jobs.length }), () => tryOthers(jobs, name, current), { id: `try-others-${number}`, class: "primary" });
  return el("div", "row", all || one);
}

async function retry(jobs, name, current) {
  try {
    return await command("enforcements/retry", { jobs: jobs.map(({ id: job, change }) => ({ id: job, change })) });
  } catch (failure) {
    report(name, "failed", failure.isUnclear ? say("unclear.unknown") : (failure.reason ?? failure.message), current);
    return null;
  }
}

function report(name, state, text, current) {
  tried.set(name, { state, text });
  announce(text);
  return current.refresh();
}

async function tryOne(job, name, current) {
  report(name, "busy", say("queue.trying"), current);
  const answer = await retry([job], name, current);
  if (!answer) return;
  if (answer.failed?.length) return report(name, "failed", answer.failed[0].reason, current);
  for (const end = Date.now() + PATIENCE; Date.now() < end; await new Promise((done) => setTimeout(done, 500))) {
    const { entries = [] } = await read("enforcements", { user: job.user, app: job.app, limit: JOBS }).catch(() => ({}));
    const now = entries.find(({ id: known }) => known === job.id);
    if (!now || now.state === "done" || now.stage === "told") return oneWorks(name, current);
    if (now.state === "dead-letter") return report(name, "failed", say(now.error === job.error ? "queue.same-error" : "queue.other-error", { error: now.error }), current);
  }
  report(name, "failed", say("queue.no-result"), current);
}

/** The group of the job has others, or it is gone and the view says that the job succeeded. */
async function oneWorks(name, current) {
  await report(name, "works", say("queue.one-works"), current);
  if (!(current.data.groups ?? []).some((group) => nameOf(group) === name)) current.note(say("queue.all-work"));
  current.redraw();
}

async function tryOthers(jobs, name, current) {
  const answer = await retry(jobs.slice(0, JOBS), name, current);
  if (!answer) return;
  const { succeeded = [], failed = [] } = answer;
  tried.delete(name);
  current.note(say("queue.retried", { n: succeeded.length, failed: failed.length }));
  current.refresh();
}

function jobRow(job, current) {
  const { user, conversation, change } = job;
  const canClose = current && job.state === "dead-letter" && mayRetry();
  return el("li", "job",
    el("p", null, user && [link(userAddress(user), id(user)), " ", place(conversation), " · "], targetOf(job), change != null && [" · ", link(`#/change/${Number(change)}`, tell("entry.change", { n: change }))]),
    el("p", "soft", jobState(job), job.error && [" ", quote(job.error)], job.asked && [" · ", when(job.asked, { relative: true })]),
    canClose && closeForm(job, current));
}

/** Takes a dead letter out of the list, with the reason for the audit log. */
function closeForm(job, current) {
  const name = `close-${job.id}`;
  const field = el("input", { id: name, maxlength: 255, required: true, autocomplete: "off" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      const { failed = [] } = await command("enforcements/close", { jobs: [{ id: job.id, change: job.change }], reason: field.value.trim() });
      current.note(failed.length ? [say("queue.not-closed"), " ", quote(failed[0].reason)] : say("queue.closed"));
    } catch (failure) {
      current.note(failure.isUnclear ? say("unclear.unknown") : [say("queue.not-closed"), " ", quote(failure.reason ?? failure.message)]);
    }
    current.refresh();
  };
  return el("details", { id: `details-${name}` }, el("summary", null, say("queue.close")), el("form", { class: "row", onsubmit: submit }, el("label", { for: name, class: "unseen" }, say("queue.close-reason")), field, el("button", { type: "submit" }, say("queue.close-do"))));
}

export const changeView = {
  hasId: true,
  title: ({ id: number }) => say("change.title", { n: number }),
  heading: ({ id: number }) => say("change.title", { n: number }),
  load: loadChange,
  draw: drawChange,
  concerns: (event, { address }) => isJob(event) && event.data?.change === Number(address.id),
  waits,
};

function loadChange({ id: number }, signal) {
  const scope = mayEverywhere("read-moderation") ? {} : { conversation: places()[0]?.conversation };
  return read(`changes/${encodeURIComponent(number)}`, scope, { signal });
}

function drawChange({ events = [], jobs = [] }, { id: number }) {
  const { moderation, apps = [] } = session.abilities;
  return [
    el("ul", "events", events.map(eventRow)),
    events[0] && stages({ at: events[0].time, change: Number(number) }, jobs, moderation, apps.filter(({ enforced }) => enforced)),
    jobs.length > 0 && el("section", null, el("h2", null, say("change.jobs")), el("ul", "rows", jobs.map((job) => jobRow(job)))),
    !events.length && el("p", "empty", say("change.none")),
  ];
}
