// What came of a request, step by step.

import { byId, code, el } from "./dom.js";
import { decision } from "./decision.js";

/** While the answer is on its way: what stands there is of another request. */
export function waiting() {
  byId("steps").setAttribute("aria-busy", "true");
}

/** What kept a request from being made. */
export function trouble(message) {
  verdict("refused", "Not asked", message);
  steps([]);
}

/** A request, its answer, and the reasons behind it. */
export function show(outcome) {
  verdict(...judge(outcome));
  steps([
    step("Who asks", ...caller(outcome)),
    step("What is asked", ...asked(outcome)),
    step("The decision", ...decision(outcome)),
    step("The string to sign", ...signed(outcome)),
    step("The answer", ...answer(outcome)),
  ]);
}

/** How it looks, what it is in a word, why, and by which rules. */
function judge({ answer, reasons, problem }) {
  const decided = reasons?.decided;
  if (!decided) return ["refused", "Refused", `Before the policy was asked: ${problem.detail}`];
  const sentence = decided.decision.replace(/^\w+: /, "").replace(/ \(rules? [^()]*\)$/, "");
  if (!decided.allowed) return ["denied", decided.code === "banned" ? "Banned" : "Denied", `${sentence}.`, [decided.rule]];
  if (!answer.ok) return ["refused", "Allowed, but not signed", detail(answer)];
  const whole = decided.steps.every((one) => one.allowed);
  return whole ? ["allowed", "Allowed", `${sentence}.`, decided.rules] : ["partly", "Partly granted", `${sentence}.`, decided.rules];
}

const MARKS = { allowed: "✓", denied: "✕", partly: "◐", refused: "!" };

function verdict(look, word, sentence, rules = []) {
  const named = rules.filter(Boolean).map((rule) => el("code", null, rule));
  const mark = el("span", "mark", MARKS[look]);
  mark.setAttribute("aria-hidden", "true");
  byId("verdict").className = `verdict ${look}`;
  byId("verdict").replaceChildren(
    el("p", "word", mark, word),
    el("p", "sentence", sentence),
    named.length ? el("p", "rules", named.length > 1 ? "Rules " : "Rule ", separated(named)) : "",
  );
}

const separated = (items) => items.flatMap((item, place) => (place ? [" ", item] : [item]));

function steps(items) {
  byId("steps").replaceChildren(...items);
  byId("steps").removeAttribute("aria-busy");
}

function step(title, headline, ...content) {
  return el("li", null, el("h2", null, title), el("p", "headline", headline), ...content);
}

function caller({ situation, request, reasons }) {
  const by = reasons ? [", vouched for by ", el("code", null, reasons.decided.caller.authenticator)] : [];
  if (situation.service) {
    return [
      [`${situation.service}, a service`, ...by],
      el("p", null, "A backend, which proves itself by an API key in a header."),
    ];
  }
  return [
    [`${situation.as}, a user`, ...by],
    el("p", null, "An end user’s device. Its token says:"),
    code(JSON.stringify(claims(request.headers.authorization), null, 2)),
  ];
}

/** What a token says. */
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
    code(text),
    el("h3", null, "The same in a terminal"),
    code(curl, { copy: "Copy the curl line" }),
  ];
}

/** For a shell. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function signed({ answer, reasons }) {
  const signed = reasons?.signed;
  if (!signed) {
    const why = answer.ok ? "The answer holds nothing that was signed." : "Nothing is signed without the policy’s permit.";
    return ["None", el("p", "aside", why)];
  }
  const held = signed.matches ? "It was recomputed here and is the one in the answer." : "It is not the one in the answer.";
  const [header, payload] = signed.token ?? [];
  return [
    `${signed.text.length} characters`,
    code(signed.text, { shown: parts(signed.text, Boolean(header)) }),
    ...(header ? [el("p", null, "Which is Base64url of this header and these claims:"), code(`${header}\n${JSON.stringify(JSON.parse(payload), null, 2)}`)] : []),
    el("p", "aside", `Its ${signed.algorithm} with ${signed.key}, which never leaves the server, is the signature. ${held}`),
  ];
}

/** A token with its parts in colours. */
function parts(text, isToken) {
  if (!isToken) return [text];
  const coloured = text.split(".").map((part, place) => el("span", `part${place}`, part));
  return coloured.flatMap((part, place) => (place ? [".", part] : [part]));
}

function answer({ answer: { status, statusText, headers, text } }) {
  const names = ["content-type", "x-request-id", "x-ably-errorcode", "retry-after"];
  const lines = names.filter((name) => headers.has(name)).map((name) => `${name}: ${headers.get(name)}`);
  const type = headers.get("content-type") ?? "";
  const body = type.includes("json") ? [JSON.stringify(JSON.parse(text), null, 2)] : parts(text, type === "application/jwt");
  return [
    `${status} ${statusText}`,
    code(`${lines.join("\n")}\n\n${text}`, { shown: [`${lines.join("\n")}\n\n`, ...body], copy: null }),
  ];
}

/** What an error says for people, in whichever shape it comes. */
function detail({ text, status }) {
  try {
    const said = JSON.parse(text);
    return said.detail ?? said.error?.message ?? String(status);
  } catch {
    return String(status);
  }
}
