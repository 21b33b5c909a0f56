// The forms for a user: ban, mute, give a role, take a role, and lift.

import { command } from "./api.js";
import { chips, select } from "./dom.js";
import { el } from "./elements.js";

import { author, callerName, mayEverywhere, places, session } from "./session.js";
import { complain, fillSheet } from "./sheet.js";
import { id, language, place, quote, say, tell } from "./text.js";
import { DAY, clock, now, parseSpan, spanName } from "./time.js";
import { placeOf, showReceipt } from "./user.js";
import { effects, until, warnings } from "./words.js";

/** What was chosen in a form, for ten minutes, so that a form that was closed by mistake is not lost. */
const drafts = new Map();
const KEPT = 600_000;

/** The names of each command in the routes. */
const COMMANDS = {
  ban: { path: "bans", undo: "bans/lift", do: "ban", list: "bans", action: "ban" },
  mute: { path: "mutes", undo: "mutes/lift", do: "mute", list: "mutes", action: "mute" },
};

/** Draws the form that the address names. */
export function drawForm(name, current) {
  if (name === "lift") return liftForm(current);
  if (name === "take") return takeForm(current);
  return name === "role" ? roleForm(current) : sanctionForm(name, current);
}

function draftOf(current, name, initial) {
  const key = `${current.key} ${name}`;
  const kept = drafts.get(key);
  const draft = kept && Date.now() - kept.time < KEPT ? kept : { ...initial, time: Date.now() };
  drafts.set(key, draft);
  return { draft, forget: () => drafts.delete(key) };
}

/** The places to choose from. With one place there is no choice. */
function placeField(draft, action, changed) {
  const known = [draft.first, mayEverywhere(action) && "*", ...places().filter(({ may }) => may?.includes(action)).map(({ conversation }) => conversation)];
  const options = [...new Set(known.filter(Boolean))].slice(0, 6);
  if (options.length === 1 && !mayEverywhere(action)) return el("p", null, el("strong", null, `${say("form.where")}: `), place(options[0], id));
  const other = el("input", { type: "text", "aria-label": say("form.other-place"), maxlength: 255, autocapitalize: "none", spellcheck: "false", hidden: draft.where !== "", value: draft.otherPlace ?? "", oninput: () => ((draft.otherPlace = other.value.trim()), changed()) });
  const choose = (value) => {
    draft.where = value;
    other.hidden = value !== "";
    if (value === "") other.focus();
    changed();
  };
  const labels = options.map((one) => [one, one === "*" ? say("place.everywhere-choice") : place(one)]);
  return [chips("where", say("form.where"), [...labels, ["", say("form.other")]], draft.where, choose), other];
}

const chosenPlace = (draft) => (draft.where === "" ? draft.otherPlace || null : draft.where);

function appField(draft, changed) {
  const apps = session.abilities.apps ?? [];
  if (apps.length < 2) return null;
  const options = [["", say("form.all-apps")], ...apps.map(({ name }) => [name, name])];
  return el("details", { open: Boolean(draft.app) }, el("summary", null, say("form.more")), select(say("form.app"), options, draft.app ?? "", (value) => ((draft.app = value || null), changed())));
}

/** The form for a ban or a mute. */
function sanctionForm(name, current) {
  const { address, data } = current;
  const { id: user, query } = address;
  const { durations = ["15m", "1h", "24h", "7d"], default_duration: usual = "24h", reasons = [], reason: rule } = session.abilities.console ?? {};
  const templates = reasons.filter((template) => (template.for ?? ["ban", "mute"]).includes(name));
  const template = templates.find((one) => one.id === query.reason);
  const first = query.place ?? data.conversation;
  const asked = durations.includes(query.for) ? query.for : null;
  const { draft, forget } = draftOf(current, name, { first, where: first ?? (mayEverywhere(name) ? "*" : ""), app: query.only, length: asked ?? template?.duration ?? usual, count: 3, unit: "d", reason: template?.id ?? null, words: "" });
  const end = () => endOf(draft);
  const outcome = el("p", "hint");
  const counter = el("p", "hint");
  const effectsList = el("div", "effects");
  const others = el("div");
  const changed = () => update();
  const ownLength = el("div", { class: "row", hidden: draft.length !== "other" }, el("input", { type: "number", min: 1, max: 999, value: draft.count, "aria-label": say("form.count"), oninput: (event) => ((draft.count = Number(event.target.value)), changed()) }), select(say("form.unit"), ["m", "h", "d"].map((unit) => [unit, say(`unit.${unit}`)]), draft.unit, (unit) => ((draft.unit = unit), changed())));
  const setLength = (value) => {
    draft.length = value;
    ownLength.hidden = value !== "other";
    changed();
  };
  const words = el("input", { type: "text", id: "own-reason", maxlength: 255, value: draft.words, "aria-label": say("form.own-reason"), hidden: draft.reason !== "", oninput: () => ((draft.words = words.value), changed()) });
  const setReason = (value) => {
    draft.reason = value;
    words.hidden = value !== "";
    const length = templates.find((one) => one.id === value)?.duration;
    if (length && durations.includes(length)) document.querySelector(`#sheet input[name="length"][value="${length}"]`)?.click();
    if (value === "") words.focus();
    changed();
  };
  const lengths = [...durations.map((one) => [one, spanName(one)]), ["never", say("form.for-good")], ["other", say("form.other")]];
  const labels = templates.map((one) => [one.id, one.label?.[language] ?? one.say]);
  const parts = fillSheet({
    title: tell(`form.${name}`, { user: id(user) }),
    kind: "bad",
    fields: [others, warnings(user), placeField(draft, name, changed), chips("length", say("form.how-long"), lengths, draft.length, setLength), ownLength, outcome, chips("reason", tell("form.why", { user: id(user) }), [...labels, ["", say("form.other")]], draft.reason, setReason), words, counter, appField(draft, changed), effectsList],
    act,
  });
  let body = null;
  update();

  function update() {
    const length = draft.length === "never" ? say("form.for-good-end") : say("form.for", { span: lengthName(draft) });
    parts.asked = null;
    parts.go.replaceChildren(...tell(`form.do.${name}`, { user: id(user), place: place(chosenPlace(draft) ?? "…"), length }));
    outcome.textContent = end() ? say("form.until", { time: clock(end()) }) : draft.length === "never" ? "" : say("form.bad-length");
    counter.textContent = draft.reason === "" && draft.words.length > 200 ? `${draft.words.length} / 255` : "";
    others.replaceChildren(...existing(data, COMMANDS[name].list, draft));
    previewSoon(parts, effectsList, { do: name, users: [user], conversation: chosenPlace(draft), app: draft.app, until: end() });
  }

  function act() {
    const conversation = chosenPlace(draft);
    const reason = draft.reason === "" ? draft.words.trim() : templates.find((one) => one.id === draft.reason)?.say;
    if (!conversation) return complain(parts, say("form.need-place"));
    if (draft.length !== "never" && !end()) return complain(parts, say("form.bad-length"));
    if (!reason && rule !== "optional") return complain(parts, say("form.need-reason"));
    body = withoutEmpty({ users: [user], conversation, app: draft.app, until: end(), reason });
    const { list, path, undo } = COMMANDS[name];
    const mine = (entry) => isOwn(entry) && isIn(entry, conversation) && (entry.app ?? null) === (draft.app ?? null);
    const before = (data[list] ?? []).find(mine);
    return {
      user, path, body,
      look: lookAt(user, conversation),
      isDone: (found) => (found[list] ?? []).some((entry) => mine(entry) && sameTime(entry.until, body.until) && (entry.reason ?? "") === (body.reason ?? "")),
      done: (answer) => {
        forget();
        const lift = { path: undo, body: withoutEmpty({ users: [user], conversation, app: draft.app, own: true, seen: answer.change }) };
        const back = before && { path, body: withoutEmpty({ users: [user], conversation, app: draft.app, until: before.until, reason: before.reason }) };
        const text = () => tell(`receipt.${name}`, { user: id(user), place: place(conversation), until: until(body) });
        showReceipt(user, text, answer.change === undefined ? null : [lift, back].filter(Boolean), current);
      },
    };
  }
}

const withoutEmpty = (body) => Object.fromEntries(Object.entries(body).filter(([, value]) => value != null && value !== ""));
const sameTime = (one, other) => (one ? Date.parse(one) : null) === (other ? Date.parse(other) : null);

/** Whether an entry is for exactly this place. An entry for everywhere names no conversation. */
const isIn = (entry, conversation) => (entry.conversation ?? "*") === conversation;

/** The question that shows whether a change was made: the user, as far as the caller may see. */
const lookAt = (user, conversation) => [`users/${encodeURIComponent(user)}`, mayEverywhere("read-moderation") ? {} : { conversation }];

const isOwn = (entry) => entry.own ?? (entry.by?.subject === callerName() && entry.by?.kind === session.abilities.caller.kind);

/** The end of the ban by the server's clock, in whole seconds. Null if there is none, or if the duration is not valid. */
function endOf({ length, count, unit }) {
  if (length === "never") return null;
  const milliseconds = length === "other" ? (Number.isInteger(count) && count > 0 && count < 1000 ? parseSpan(`${count}${unit}`) : 0) : parseSpan(length);
  if (!milliseconds || milliseconds > 3650 * DAY) return null;
  return new Date(Math.floor(now() / 1000) * 1000 + milliseconds).toISOString();
}

const lengthName = ({ length, count, unit }) => spanName(length === "other" ? `${count}${unit}` : length);

/** Says what there is already for this user in this place. */
function existing(data, list, draft) {
  const there = (data[list] ?? []).filter((entry) => entry.conversation === chosenPlace(draft));
  return there.map((entry) => el("p", "note", tell(isOwn(entry) ? "form.replaces" : "form.beside", { who: author(entry.by), until: until(entry) })));
}

/** Asks what the change will do, and shows it. The button does not wait for it. */
function previewSoon(parts, target, body) {
  clearTimeout(parts.previewTimer);
  parts.previewTimer = setTimeout(() => preview(parts, target, withoutEmpty(body)), parts.previewed ? 300 : 0);
  parts.previewed = true;
}

async function preview(parts, target, body) {
  if (!body.conversation) return target.replaceChildren();
  const number = (parts.number = (parts.number ?? 0) + 1);
  const found = await previewOf(body);
  if (number !== parts.number || parts.busy) return;
  const failed = found?.failed?.[0];
  parts.go.setAttribute("aria-disabled", String(Boolean(failed)));
  if (failed) complain(parts, el("p", null, tell("refused", { user: id(body.users[0]) })), quote(failed.reason ?? failed.code));
  else complain(parts);
  const own = ["ban", "mute"].includes(body.do) && tell("effect.own", { user: id(body.users[0]), place: place(body.conversation) });
  const known = (found?.effects ?? []).filter(({ carried }) => own || carried);
  const lines = [own, ...effects(known)].filter(Boolean);
  target.replaceChildren(...(found && !failed ? lines.map((line) => el("p", null, line)) : []));
  return found;
}

const previewOf = (body) => command("preview", body).catch((failure) => (failure.kind === "refused" ? { failed: [failure] } : null));

/** The form that gives a role. */
function roleForm(current) {
  const { address, data } = current;
  const { id: user, query } = address;
  const roles = (session.abilities.roles ?? []).filter((role) => role !== "owner");
  const first = query.place ?? data.conversation;
  const { draft, forget } = draftOf(current, "role", { first, where: first ?? "*", app: query.only, role: roles.includes(query.role) ? query.role : null });
  const target = el("div", "effects");
  const parts = fillSheet({
    title: tell("form.role", { user: id(user) }),
    kind: "",
    fields: [warnings(user), placeField(draft, "set-role", update), chips("role", say("form.which-role"), roles.map((role) => [role, role]), draft.role, (role) => ((draft.role = role), update())), appField(draft, update), target],
    act,
  });
  update();

  function update() {
    parts.asked = null;
    parts.go.replaceChildren(...(draft.role ? tell("form.do.role", { user: id(user), role: draft.role, place: place(chosenPlace(draft) ?? "…") }) : [say("form.choose-role")]));
    parts.go.setAttribute("aria-disabled", String(!draft.role));
    if (draft.role) previewSoon(parts, target, { do: "set-role", users: [user], conversation: chosenPlace(draft), app: draft.app, role: draft.role });
  }

  function act() {
    const conversation = chosenPlace(draft);
    if (!conversation) return complain(parts, say("form.need-place"));
    if (!draft.role) return complain(parts, say("form.choose-role"));
    const body = withoutEmpty({ users: [user], conversation, app: draft.app, role: draft.role });
    const there = (entry) => isIn(entry, conversation) && (entry.app ?? null) === (draft.app ?? null);
    const before = (data.roles ?? []).find((entry) => there(entry) && entry.source !== "file" && entry.role);
    return {
      user, path: "roles", body,
      look: lookAt(user, conversation),
      isDone: (found) => (found.roles ?? []).some((entry) => there(entry) && entry.role === body.role),
      done: (answer) => {
        forget();
        const undo = before && answer.change !== undefined ? [{ path: "roles", body: { ...body, role: before.role, seen: answer.change } }] : null;
        showReceipt(user, () => tell("receipt.role", { user: id(user), role: body.role, place: place(conversation) }), undo, current);
      },
    };
  }
}

/** The form that takes a role. It has no undo, and says so. */
function takeForm(current) {
  const { id: user, query } = current.address;
  const conversation = query.place ?? placeOf(current.address);
  const { role } = query;
  const args = { user: id(user), role, place: place(conversation) };
  const parts = fillSheet({ title: tell("form.take", args), kind: "bad", fields: [el("p", "note bad", tell("form.take.warning", args)), el("div", "effects")], act });
  parts.go.replaceChildren(...tell("form.do.take", args));
  previewSoon(parts, el("div"), { do: "take-role", users: [user], conversation, app: query.only, role });

  function act() {
    const body = withoutEmpty({ users: [user], conversation, app: query.only, role });
    return {
      user, path: "roles/remove", body,
      look: lookAt(user, conversation),
      isDone: (found) => !(found.roles ?? []).some((entry) => isIn(entry, conversation) && entry.role === role),
      done: () => showReceipt(user, () => tell("receipt.take", args), null, current),
    };
  }
}

/** The form that lifts a ban or mute. It names the entries that go. */
function liftForm(current) {
  const { address, data } = current;
  const { id: user, query } = address;
  const name = query.kind === "mute" ? "mute" : "ban";
  const { list, path, undo } = COMMANDS[name];
  const conversation = query.place ?? placeOf(address) ?? "*";
  const there = (entry) => isIn(entry, conversation) && (entry.app ?? null) === (query.only ?? null) && entry.source !== "file";
  const entries = (data[list] ?? []).filter(there);
  const own = entries.filter(isOwn);
  const blocked = entries.find((entry) => entry.may_lift && !entry.may_lift.allowed);
  const state = { scope: own.length && (own.length < entries.length || blocked) ? "own" : "all" };
  const goes = el("ul", "entries");
  const choice = own.length > 0 && own.length < entries.length && !blocked ? chips("scope", say("lift.which"), [["own", say("lift.own")], ["all", say("lift.all", { n: entries.length })]], "own", (scope) => ((state.scope = scope), update())) : null;
  const file = (data[list] ?? []).find((entry) => entry.conversation === conversation && entry.source === "file");
  const stays = [
    blocked && el("p", "note", tell("lift.stays", { who: author(blocked.by) }), " ", blocked.may_lift.reason && quote(blocked.may_lift.reason)),
    file && el("p", "note", tell("lift.file", { line: file.line })),
    (data.wider?.[name === "ban" ? "banned" : "muted"] || (data[list] ?? []).some((entry) => conversation !== "*" && entry.conversation === "*")) && el("p", "note", say(`lift.wider.${name}`)),
  ];
  const target = el("div", "effects");
  const parts = fillSheet({ title: tell(`lift.${name}`, { user: id(user), place: place(conversation) }), kind: "", fields: [entries.length ? null : el("p", "note", say("lift.nothing")), choice, goes, stays, target], act });
  update();

  function update() {
    const gone = state.scope === "own" ? own : entries;
    parts.asked = null;
    goes.replaceChildren(...gone.map((entry) => el("li", "entry", entry.reason && el("p", "reason", quote(entry.reason)), el("p", "meta", until(entry), " · ", tell("entry.by", { who: author(entry.by), time: clock(entry.at) })))));
    parts.go.replaceChildren(say(`lift.do.${name}`, { n: gone.length }));
    parts.go.setAttribute("aria-disabled", String(!gone.length));
    if (gone.length) previewSoon(parts, target, { do: `un${name}`, users: [user], conversation, app: query.only, own: state.scope === "own" || null });
  }

  function act() {
    const isOnlyOwn = state.scope === "own";
    const body = withoutEmpty({ users: [user], conversation, app: query.only, own: isOnlyOwn || null, seen: data.version });
    const gone = isOnlyOwn ? own : entries;
    return {
      user, path: undo, body,
      look: lookAt(user, conversation),
      isDone: (found) => !(found[list] ?? []).some((entry) => there(entry) && (!isOnlyOwn || isOwn(entry))),
      done: (answer) => {
        const mine = gone.find(isOwn);
        const back = mine && answer.change !== undefined && [{ path, body: withoutEmpty({ users: [user], conversation, app: query.only, until: mine.until, reason: mine.reason, seen: answer.change }) }];
        const text = answer.unchanged?.includes(user) ? "receipt.lift-nothing" : gone.length > 1 && mine ? "receipt.lift-own-undo" : `receipt.lift.${name}`;
        showReceipt(user, () => tell(text, { user: id(user), place: place(conversation) }), back || null, current);
      },
    };
  }
}
