// The policy's decision, in the words of the engine: each requested action, the effective roles, and the result of every rule.

import { code, el } from "./dom.js";

/** Returns the headline and the content of the step. */
export function decision({ reasons, problem, situation }) {
  if (!reasons) return ["No decision", el("p", "aside", problem.detail)];
  const { steps } = reasons.decided;
  const allowed = steps.filter((step) => step.allowed).length;
  const headline = steps.length === 1 ? (allowed ? "Allowed" : "Denied") : `${allowed} of ${steps.length} allowed`;
  const first = Math.max(0, steps.findIndex((step) => !step.allowed));
  const links = el("p", "aside", link("How the policy decides", "policy.md"));
  return [headline, ...steps.map((step, place) => thing(step, place === first, reasons.rules, situation.app)), links];
}

function link(text, page) {
  const anchor = el("a", null, text);
  anchor.href = `/playground/${page}`;
  return anchor;
}

/** Shows one requested action, or one operation of a capability. */
function thing(step, open, policy, app) {
  const place = step.conversation ? [" in ", el("code", null, step.conversation)] : [];
  const why = step.allowed ? ["allowed by ", el("code", null, step.rule)] : [step.why];
  const summary = el("summary", null, mark(step.allowed), el("span", null, el("strong", null, step.action), place, " – ", why));
  const elsewhere = ({ id }) => policy[id].apps && !policy[id].apps.includes(app);
  const ofApp = step.rules.filter((rule) => !elsewhere(rule));
  const about = ofApp.filter((rule) => !beside(rule));
  const others = ofApp.filter(beside).map((rule) => rule.id);
  const show = (rules) => el("ul", "verdicts", rules.map((one) => rule(one, step, policy)));
  const details = el(
    "details",
    "thing",
    summary,
    el("h3", null, "Effective roles"),
    el("ul", "plain", step.standings.map((text) => el("li", null, text))),
    step.considered.length ? el("h3", null, "Bans, mutes and blocks") : null,
    step.considered.length ? el("ul", "plain", step.considered.map(sanction)) : null,
    el("h3", null, `Rules about ${step.action}`),
    about.length ? show(about) : el("p", "aside", "There are none."),
    others.length ? el("p", "aside", `Not about ${step.action}: ${others.join(", ")}.`) : null,
    folded(step.rules.filter(elsewhere), app, show),
  );
  details.open = open;
  return details;
}

/** Folds the rules for other apps, which cannot match. */
function folded(rules, app, show) {
  if (!rules.length) return null;
  const count = rules.length === 1 ? "1 rule is" : `${rules.length} rules are`;
  return el("details", "more", el("summary", null, `${count} not for the app ${app}`), show(rules));
}

/** Returns true if a rule is about other actions. */
const beside = (rule) => rule.misses.some((miss) => miss.condition === "actions");

function mark(good) {
  const sign = el("span", good ? "sign good" : "sign bad", good ? "✓" : "✕");
  sign.setAttribute("aria-hidden", "true");
  return sign;
}

const sanction = ({ counts, sentence }) => el("li", counts ? "counts" : "passed", sentence);

function rule({ id, effect, matches, misses }, step, policy) {
  const decides = matches && step.allowed === (effect === "allow");
  const nearest = !step.allowed && !matches && step.rule === id;
  const sign = decides ? mark(step.allowed) : el("span", "sign", "·");
  return el(
    "li",
    decides ? effect : nearest ? "nearest" : "passed",
    sign,
    el(
      "div",
      null,
      el("p", null, el("code", null, id), " ", el("span", "effect", said(effect, matches, decides, nearest))),
      misses.map(miss),
      el("details", "more", el("summary", null, `${id} in the policy`), code(policy[id].text)),
    ),
  );
}

function said(effect, matches, decides, nearest) {
  if (decides) return effect === "allow" ? "allows it" : "denies it";
  if (matches) return "would allow it, but something stronger denies it";
  return nearest ? `would ${effect}; comes nearest` : `would ${effect}`;
}

function miss({ condition, needed, spoiler }) {
  return el("p", "miss", el("span", "condition", condition), " ", needed, spoiler ? `; ${spoiler} prevents it` : null);
}
