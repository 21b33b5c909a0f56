// A sheet above a view: from the bottom on a phone, at the right on a desk. The address of the view has its name.

import { command, read } from "./api.js";
import { announce, button } from "./dom.js";
import { byId, el } from "./elements.js";
import { id, quote, say, tell } from "./text.js";
import { userAddress } from "./words.js";

/** A press in this time after the sheet opened is the second half of a double press. */
const DOUBLE_PRESS = 400;
const LOOKS = [1000, 3000, 8000];

let open = null;

/** Shows the sheet that the address of the view names, or closes the one that is open. */
export async function showSheet(current) {
  const { sheet } = current.address;
  if (!sheet || current.data === null) return closeSheet();
  const cameFromView = current.cameFromView === true;
  closeSheet(false);
  open = { current, cameFromView, from: document.activeElement?.id };
  const dialog = byId("sheet");
  dialog.replaceChildren();
  current.view.drawSheet(sheet, current);
  if (!dialog.open) dialog.showModal();
  open.since = performance.now();
  byId("sheet-title")?.focus();
}

export function closeSheet(restore = true) {
  const dialog = byId("sheet");
  if (dialog.open) dialog.close();
  dialog.replaceChildren();
  const from = open?.from;
  open = null;
  if (restore && from) (byId(from) ?? byId("heading"))?.focus();
}

/** Draws the open sheet again with new data. Forms keep what was chosen. */
export function redrawSheet(current) {
  if (open?.current !== current || open.parts.busy || open.parts.asked) return;
  const { id: name, name: group, value } = document.activeElement;
  current.view.drawSheet(current.address.sheet, current);
  const choice = group && `input[name="${group}"][value="${CSS.escape(value)}"]`;
  (byId(name) ?? (choice && byId("sheet").querySelector(choice)) ?? byId("sheet-title")).focus();
}

/** Leaves the sheet by the address, so that Back does the same. */
export function leaveSheet() {
  if (!open) return;
  const { address } = open.current;
  if (open.cameFromView) history.back();
  else location.replace(userAddress(address.id, "", address.query));
}

/**
 * Fills the sheet. `act` returns the change to ask for: `{ path, body, isDone, done }`, or null if something is missing.
 * Returns the parts that the form writes to.
 */
export function fillSheet({ title, fields, kind, act }) {
  const problem = el("div", { id: "sheet-problem", class: "problem", role: "alert", tabindex: "-1", hidden: true });
  const go = el("button", { type: "submit", id: "sheet-go", class: `primary ${kind}` });
  const parts = { problem, go, act, asked: null };
  const form = el(
    "form",
    { class: "sheet", novalidate: true, onsubmit: (event) => submit(event, parts), onkeydown: (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && submit(event, parts) },
    el("div", "sheet-body", el("h2", { id: "sheet-title", tabindex: "-1" }, title), fields, problem),
    el("div", "sheet-foot", button(say("cancel"), leaveSheet, { id: "sheet-cancel" }), go),
  );
  byId("sheet").replaceChildren(form);
  open.parts = parts;
  return parts;
}

/** Shows a problem next to the button. */
export function complain({ problem }, ...parts) {
  problem.replaceChildren(...parts.flat(Infinity));
  problem.hidden = parts.length === 0;
}

async function submit(event, parts) {
  event.preventDefault();
  if (!open || performance.now() - open.since < DOUBLE_PRESS || parts.busy) return;
  if (parts.go.getAttribute("aria-disabled") === "true") return parts.problem.focus();
  if (document.body.classList.contains("read-only")) return complain(parts, say("not-now"));
  const asked = (parts.asked ??= parts.act());
  if (!asked) return parts.problem.focus();
  complain(parts);
  setBusy(parts, say("working"));
  announce(say("asked"));
  try {
    finish(parts, asked, await command(asked.path, asked.body));
  } catch (failure) {
    if (failure.isUnclear) return look(parts, asked, failure);
    setBusy(parts, null);
    parts.asked = null;
    refuse(parts, asked, "refused", failure.reason ?? failure.message);
  }
}

function setBusy(parts, text) {
  parts.busy = text !== null;
  if (parts.busy) parts.label = [...parts.go.childNodes];
  parts.go.setAttribute("aria-disabled", String(parts.busy));
  parts.go.classList.toggle("busy", parts.busy);
  parts.go.replaceChildren(...(parts.busy ? [text] : (parts.label ?? [])));
}

function finish(parts, asked, answer) {
  const failed = answer.failed?.[0];
  setBusy(parts, null);
  if (!failed) return close(asked, answer);
  parts.asked = null;
  const key = failed.code === "changed" ? "changed" : "refused";
  refuse(parts, asked, key, failed.reason);
  if (failed.code === "changed") open?.current.refresh();
}

function refuse(parts, asked, key, reason) {
  complain(parts, el("p", null, tell(key, { user: id(asked.user) })), reason ? el("p", null, quote(reason)) : "");
  parts.problem.focus();
}

function close(asked, answer) {
  const current = open?.current;
  leaveSheet();
  closeSheet(false);
  asked.done(answer);
  current?.refresh();
}

/** The answer is lost. Looks whether the change was made, and says so. It never asks for the change again by itself. */
async function look(parts, asked, failure) {
  complain(parts, say("unclear"));
  announce(say("unclear"), "alarm");
  for (const pause of LOOKS) {
    await new Promise((done) => setTimeout(done, pause));
    if (!open) return;
    const found = await read(...asked.look).catch(() => null);
    if (found && asked.isDone(found)) {
      announce(say("unclear.done"));
      setBusy(parts, null);
      return close(asked, { succeeded: [asked.user], unclear: true });
    }
    if (found && pause === LOOKS.at(-1)) return notDone(parts, failure, "unclear.not-done");
  }
  notDone(parts, failure, "unclear.unknown");
}

function notDone(parts, failure, key) {
  setBusy(parts, null);
  parts.go.replaceChildren(say("ask-again"));
  complain(parts, el("p", null, say(key)), failure.problem?.detail ? el("p", null, quote(failure.problem.detail)) : "");
}

/** Closes the sheet by Escape (also Android's Back) and by a press outside of it. */
const dialog = byId("sheet");
dialog.addEventListener("cancel", (event) => (event.preventDefault(), leaveSheet()));
dialog.addEventListener("mousedown", (event) => event.target === dialog && leaveSheet());
byId("sign-in").addEventListener("cancel", (event) => event.preventDefault());
