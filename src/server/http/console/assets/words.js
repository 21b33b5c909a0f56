// Sentences about entries, events, jobs and decisions, made from the codes in answers.

import { el } from "./elements.js";
import { author } from "./session.js";
import { copier, flatten, has, id, marks, place, quote, say, short, tell } from "./text.js";
import { when } from "./time.js";

/** The number of entries on a page, and the most rows on the screen: more would be slow on a phone. */
export const PAGE = 50;
export const MAX_ROWS = 500;

/** The name of one entry of each list. */
export const SINGULAR = { bans: "ban", mutes: "mute", roles: "role", blocks: "block" };

/** The end of a ban or mute. */
export const until = (entry) => (entry.until ? tell("until", { time: when(entry.until, { relative: true }) }) : tell("until.never"));

/** Text below an entry: end, author, time, and a link to the change. */
export function meta(entry, kind) {
  const parts = [];
  if (kind === "ban" || kind === "mute") parts.push(until(entry));
  if (entry.source === "file") parts.push(tell("entry.file", { line: entry.line ?? "?" }));
  if (entry.by) parts.push(tell("entry.by", { who: author(entry.by), time: when(entry.at) }));
  if (entry.change != null) parts.push(el("a", { href: `#/change/${Number(entry.change)}` }, tell("entry.change", { n: entry.change })));
  return parts.flatMap((part, number) => (number ? [" · ", part] : [part]));
}

/** Returns the kind of an event: `ban`, `mute`, `role`, `block` or `conversation`. */
export const kindOf = (event) => event.type.split(".")[0];

/** Returns whether an event tells how far a job is. Such events are not in the history. */
export const isJob = ({ type }) => type === "job";

/** Tells an event in one sentence. The data come from the server, so each field may be missing. */
export function sentence(event) {
  const { data = {}, type } = event;
  const key = has(`event.${type}`) ? `event.${type}` : "event.other";
  const parts = tell(key, {
    type,
    who: author(data.by),
    user: data.user != null ? userLink(data.user) : "",
    place: placeLink(data.conversation),
    role: data.role ?? say("role.none"),
  });
  if (type === "ban.created" || type === "mute.created") parts.push(data.until ? tell("event.until", { time: when(data.until) }) : tell("event.for-good"));
  if (data.app) parts.push(` (${data.app})`);
  if (data.reason) parts.push(" ", quote(data.reason));
  return parts.flat(Infinity);
}

export const userLink = (user) => (remember(user), el("a", { href: userAddress(user) }, short(user)));

/** The ids that the page showed, by their appearance: the same text for all ids that look alike. */
const shownIds = new Map();
const MAX_SHOWN = 5000;

/** Characters that look alike in most fonts: Latin, digits, Cyrillic and Greek. The first one of each group stands for the others. */
const ALIKE = ["lI1|\u04cf\u0406", "O0\u041e\u039f", "o\u043e\u03bf", "A\u0410\u0391", "a\u0430", "B8\u0412\u0392", "C\u0421", "c\u0441", "E\u0415\u0395", "e\u0435", "H\u041d\u0397", "h\u04bb", "i\u0456", "J\u0408", "j\u0458", "K\u041a\u039a", "M\u041c\u039c", "N\u039d", "P\u0420\u03a1", "p\u0440\u03c1", "S5\u0405", "s\u0455", "T\u0422\u03a4", "u\u03c5", "v\u03bd", "X\u0425\u03a7", "x\u0445", "Y\u03a5", "y\u0443", "Z2\u0396", "-_\u2010\u2011\u2013"];
const STANDS_FOR = new Map(ALIKE.flatMap((group) => [...group].map((character) => [character, group[0]])));
const appearance = (text) => [...text].map((character) => STANDS_FOR.get(character) ?? character).join("");

/** Remembers a user that the page shows, so that a warning can name one who looks the same. */
export function remember(user) {
  if (shownIds.size >= MAX_SHOWN) shownIds.clear();
  const key = appearance(user);
  shownIds.set(key, (shownIds.get(key) ?? new Set()).add(user));
}

/** What a moderator must notice about the id of a user: hidden characters, mixed alphabets, and another user that looks the same. */
export function warnings(user) {
  remember(user);
  const twin = [...shownIds.get(appearance(user))].find((other) => other !== user);
  const texts = [...marks(user).map((mark) => say(mark)), twin && tell("mark.alike", { id: id(twin) })];
  return texts.filter(Boolean).map((text) => el("p", "note mixed", text));
}

/** The address of a user's page. */
export function userAddress(user, sheet = "", query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value);
  const asked = pairs.length ? `?${new URLSearchParams(pairs)}` : "";
  return `#/user/${encodeURIComponent(user)}${sheet && `/${sheet}`}${asked}`;
}

const isOne = (conversation) => conversation != null && !conversation.endsWith("*");

/** Names a place, as a link to its page if it is one conversation. */
export const placeLink = (conversation) =>
  isOne(conversation) ? tell("place.in", { id: el("a", { href: placeAddress(conversation) }, short(conversation)) }) : place(conversation);

/** The address of the page of a conversation. A namespace has only lists. */
export const placeAddress = (conversation) => (isOne(conversation) ? `#/place/${encodeURIComponent(conversation)}` : `#/list/bans?in=${encodeURIComponent(conversation)}`);

/** One line of a history or of what happens: the time and the sentence. */
export const eventRow = (event) => el("li", { class: "event", "data-id": event.id }, el("span", "event-time", when(event.time)), el("span", null, sentence(event)));

/** What a job does now, in words. */
export function jobState(job) {
  const args = { time: job.due ? when(job.due) : "" };
  const stage = { "dead-letter": "dead", done: "done" }[job.state] ?? job.stage ?? "waiting";
  return tell(has(`job.${stage}`) ? `job.${stage}` : "job.waiting", args);
}

/** How far a change has got: it is in force, the other servers have it, the vendors know it. */
export function stages({ at, change }, jobs, { shared, max_staleness_ms: bound } = {}, enforced = []) {
  const items = [["done", say("stage.in-force"), when(at, { seconds: true })]];
  if (shared) items.push(serverStage(Date.parse(at) + bound));
  const own = jobs.filter((job) => (change == null || job.change === change) && job.kind !== "webhook");
  if (own.length) items.push(vendorStage(own));
  else if (!enforced.length) items.push(["none", say("stage.no-vendor"), ""]);
  return el("ol", "stages", items.map(([state, title, text]) => el("li", { class: state }, el("span", "unseen", say(`stage.${state}`)), el("strong", null, title), el("span", null, text))));
}

function serverStage(latest) {
  return Date.now() > latest ? ["done", say("stage.servers"), when(latest, { seconds: true })] : ["busy", say("stage.servers"), tell("stage.by", { time: when(latest, { seconds: true }) })];
}

function vendorStage(jobs) {
  const done = jobs.filter((job) => job.state === "done" || job.stage === "told").length;
  const dead = jobs.find((job) => job.state === "dead-letter");
  const open = dead ?? jobs.find((job) => job.state !== "done" && job.stage !== "told");
  const state = dead ? "failed" : open ? "busy" : "done";
  return [state, say("stage.vendors", { n: done, m: jobs.length }), open ? [`${open.app ?? ""}: `, jobState(open)] : ""];
}

/** The answer to "can this user do this?", as a list of sentences. */
export function reasons(explained, user) {
  const words = explained.words ?? [];
  const said = words.map((word) => {
    const args = { user: id(word.user ?? user), place: place(word.conversation), time: word.until ? when(word.until, { relative: true }) : "", who: word.by ? id(word.by) : "", role: word.role ?? "", needed: (word.needed ?? []).join(", ") };
    const key = has(`why.${word.say}`) ? `why.${word.say}` : "why.other";
    const parts = tell(key, args);
    if (["banned", "muted", "target_banned"].includes(word.say)) {
      parts.push(word.until ? tell("why.until", args) : tell("why.no-end"));
      if (word.by) parts.push(tell("why.by", args));
    }
    if (word.line) parts.push(" ", tell("why.file", { line: word.line }));
    if (word.reason) parts.push(" ", quote(word.reason));
    return parts.flat(Infinity);
  });
  if (explained.token_unknown) said.push(tell("why.token", { user: id(user) }));
  return said;
}

/** The headline of the answer: "tom cannot join the conversation X". */
export function verdict({ allowed, action, conversation }, user) {
  const key = has(`do.${action}`) ? `do.${action}` : "do.other";
  return tell(allowed ? "why.can" : "why.cannot", { user: id(user), do: tell(key, { action, id: conversation ? short(conversation) : "" }) });
}

/** A button that copies the answer and the address as plain text, to send to a colleague. */
export function copyAnswer(explained, user) {
  const text = () => [verdict(explained, user), ...reasons(explained, user), location.href].map(flatten).join("\n");
  return copier(say("copy"), text, { id: "copy-answer", class: "small", "aria-label": say("copy.answer") });
}

/** What a change will do at each app, as a list of sentences. Apps whose vendor is not informed share a sentence. */
export function effects(found) {
  const sent = found.filter(({ carried }) => carried).map((one) => [el("strong", null, one.app), say("effect.colon"), one.does ? imposed(one) : say(`effect.lifted.${one.after}`)]);
  const others = found.filter(({ carried, why }) => !carried && has(`effect.${why}`));
  const keyOf = ({ why, good_until: end }) => `effect.${why}${end ? "" : ".no-end"}`;
  const keys = [...new Set(others.map(keyOf))];
  return [...sent, ...keys.map((key) => silence(key, others.filter((one) => keyOf(one) === key)))];
}

function imposed({ does, after }) {
  const codes = does.filter((code) => has(`effect.${code}`)).map((code) => say(`effect.${code}`));
  return [codes.join(say("effect.and")) || say("effect.informed"), say("effect.stop"), has(`effect.after.${after}`) ? say(`effect.after.${after}`) : ""];
}

function silence(key, those) {
  const apps = those.map(({ app }) => app).join(say("effect.comma"));
  const last = those.map(({ good_until: end }) => end).sort().at(-1);
  return tell(key, { app: el("strong", null, apps), time: last ? when(last) : "" });
}

/** Whether some jobs of the data are not done yet, so that the view is loaded again soon. */
export const waits = ({ jobs = [], waiting = [] }) => [...jobs, ...waiting].some(({ state }) => state === "pending");
