// Shows the result of a request, step by step.

import { byId, code, copier, el } from "./dom.js";
import { decision } from "./decision.js";
import { detail } from "./http.js";

/** Marks the steps as busy until the answer arrives. Until then they show an earlier request. */
export function waiting() {
  byId("steps").setAttribute("aria-busy", "true");
}

/** Shows the error that prevented a request. */
export function trouble(message) {
  verdict("refused", "Not sent", message);
  steps([]);
}

/** Shows a request, its answer, and the reasons. */
export function show(outcome) {
  verdict(...judge(outcome));
  steps([
    step("Caller", ...caller(outcome)),
    step("Request", ...asked(outcome)),
    step("Decision", ...decision(outcome)),
    step("String to sign", ...signed(outcome)),
    step("Answer", ...answer(outcome)),
  ]);
}

/** Returns the style, the verdict in a word, the explanation, the policy's reason, and the lines below. */
function judge({ answer, reasons, problem }) {
  const decided = reasons?.decided;
  if (!decided) return ["refused", "Refused", `The request was refused before the policy decision: ${problem.detail}`];
  const sentence = told(decided);
  if (!decided.allowed) {
    const by = decided.rule ? named("Rule", [decided.rule]) : null;
    return ["denied", decided.code === "banned" ? "Banned" : "Denied", sentence, decided.reason, by];
  }
  if (!answer.ok) return ["refused", "Allowed, but not signed", detail(answer)];
  const whole = decided.steps.every((step) => step.allowed);
  const by = named(decided.rules.length > 1 ? "Rules" : "Rule", decided.rules);
  return [whole ? "allowed" : "partly", whole ? "Allowed" : "Partly granted", sentence, null, ...powers(decided), by];
}

/** Returns the sentence of the engine, without the parts that the page shows elsewhere. */
function told({ decision, reason }) {
  const bare = decision.replace(/^\w+: /, "").replace(/ \(rules? [^()]*\)$/, "").replace(/ with \{.*\}/, "");
  return `${bare.replace(` (${reason})`, "").replace(/^the /, "The ")}.`;
}

/** Returns the granted and the withheld parts of a capability. */
function powers({ steps }) {
  const line = (word, those) => {
    const channels = Map.groupBy(those, (step) => step.conversation);
    const texts = [...channels].map(([channel, list]) => [el("code", null, channel), ` ${list.map((step) => step.action).join(", ")}`]);
    return texts.length ? el("p", "powers", el("span", null, word), el("span", null, separated(texts, el("br")))) : null;
  };
  const wants = steps.filter((step) => !step.required);
  return [line("Granted", wants.filter((step) => step.allowed)), line("Withheld", wants.filter((step) => !step.allowed))];
}

const named = (word, rules) => el("p", "rules", `${word} `, separated(rules.map((rule) => el("code", null, rule)), " "));

const MARKS = { allowed: "✓", denied: "✕", partly: "◐", refused: "!" };

function verdict(look, word, sentence, reason, ...below) {
  const mark = el("span", "mark", MARKS[look]);
  mark.setAttribute("aria-hidden", "true");
  const quote = reason ? el("p", "reason", `“${reason}”`) : null;
  byId("verdict").className = `verdict ${look}`;
  byId("verdict").replaceChildren(el("p", "word", mark, word), el("p", "sentence", sentence), el("div", null, quote, ...below));
}

/** Joins lists with a separator. A text is reused; an element is cloned each time. */
function separated(items, between) {
  return items.flatMap((item, place) => (place ? [between.cloneNode?.(true) ?? between, item] : [item])).flat();
}

function steps(items) {
  byId("steps").replaceChildren(...items);
  byId("steps").removeAttribute("aria-busy");
}

function step(title, headline, ...content) {
  return el("li", null, el("h2", null, title), el("p", "headline", headline), ...content);
}

function caller({ situation, request, reasons }) {
  const by = reasons ? [", authenticated by ", el("code", null, reasons.decided.caller.authenticator)] : [];
  if (situation.service) {
    return [
      [`${situation.service}, a service`, ...by],
      el("p", null, "A backend that authenticates with an API key in a header."),
    ];
  }
  return [
    [`${situation.as}, a user`, ...by],
    el("p", null, "A device of an end user. The claims of its token:"),
    code(JSON.stringify(claims(request.headers.authorization), null, 2)),
  ];
}

/** Returns the claims of a token. */
function claims(bearer) {
  const part = bearer.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
}

function asked({ request: { path, headers, body } }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const text = [`POST ${path}`, ...lines, "", JSON.stringify(body)].join("\n");
  const curl = [
    `curl -s ${location.origin}${path}`,
    ...lines.map((line) => `  -H ${quoted(line)}`),
    `  -d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n");
  return [
    [el("code", null, path)],
    code(text, dimmed(text, headers)),
    el("div", "titled", el("h3", null, "The same request in a terminal"), copier("Copy the curl command", curl)),
    code(curl, dimmed(curl, headers)),
  ];
}

/** Returns a text in which the long token of the caller is dimmed. */
function dimmed(text, { authorization }) {
  const token = authorization?.split(" ")[1];
  return token ? separated(text.split(token), el("span", "part0 long", token)) : [text];
}

/** Quotes a text for a shell. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function signed({ answer, reasons }) {
  const signed = reasons?.signed;
  if (!signed) {
    const why = answer.ok ? "The answer contains no signature." : "The policy did not allow the request, so there is no string to sign.";
    return ["Nothing is signed", el("p", "aside", why)];
  }
  const held = signed.matches ? "The server computed it again, and it is the one in the answer." : "It is not the one in the answer.";
  const [header, payload] = signed.token ?? [];
  return [
    `${signed.text.length} characters`,
    code(signed.text, parts(signed.text, Boolean(header))),
    ...(header ? [el("p", null, "The string is Base64url of this header and these claims:"), code(`${header}\n${JSON.stringify(JSON.parse(payload), null, 2)}`)] : []),
    el("p", "aside", `The signature is its ${signed.algorithm} with ${signed.key}, which never leaves the server. ${held}`),
  ];
}

/** Shows the parts of a token in different colors. */
function parts(text, isToken) {
  if (!isToken) return [text];
  return separated(text.split(".").map((part, place) => el("span", `part${place} long`, part)), ".");
}

function answer({ answer: { status, statusText, headers, text } }) {
  const names = ["content-type", "x-request-id", "x-ably-errorcode", "retry-after"];
  const lines = names.filter((name) => headers.has(name)).map((name) => `${name}: ${headers.get(name)}`);
  const type = headers.get("content-type") ?? "";
  const body = type.includes("json") ? [JSON.stringify(JSON.parse(text), null, 2)] : parts(text, type === "application/jwt");
  return [
    `${status} ${statusText}`,
    code(text, [`${lines.join("\n")}\n\n`, ...body]),
  ];
}
