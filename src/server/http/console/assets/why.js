// Why a user can or cannot do something: in words, and for those who may see it, with the result of each rule.

import { read } from "./api.js";
import { link } from "./dom.js";
import { el } from "./elements.js";
import { id, say, tell } from "./text.js";
import { copyAnswer, isJob, reasons, userAddress, verdict } from "./words.js";

export const whyView = {
  query: ["user", "app", "action", "in", "members"],
  key: ({ query }) => [JSON.stringify(query)],
  title: ({ query }) => say("why.title", { user: query.user ?? "" }),
  heading: ({ query }) => tell("why.title", { user: id(query.user ?? "") }),
  load: ({ query }, signal) => read("explain", { user: query.user, app: query.app, action: query.action, conversation: query.in, members: query.members }, { signal }),
  draw: drawWhy,
  concerns: (event, { address }) => !isJob(event) && event.data?.user === address.query.user,
};

function drawWhy(data, { query }) {
  const { user } = query;
  return [
    el("p", null, link(userAddress(user, "", { in: query.in, app: query.app }), tell("why.to-user", { user: id(user) }))),
    el("section", `verdict ${data.allowed ? "good" : "bad"}`,
      el("h2", null, verdict(data, user)),
      el("p", "soft", tell("why.at", { app: data.app ?? query.app })),
      reasons(data, user).map((line) => el("p", null, line)),
      copyAnswer(data, user)),
    (data.steps ?? []).map(step),
  ];
}

/** One thing that the request needs, with the result of each rule. The sentences are those of the policy engine. */
function step({ action, conversation, allowed, why, standings = [], considered = [], rules = [] }, number) {
  const about = rules.filter(({ applies }) => applies !== false);
  return el("section", { lang: "en", id: `step-${number}` },
    el("h2", null, [action, conversation].filter(Boolean).join(" · "), el("span", { lang: "" }, say(allowed ? "why.allowed" : "why.denied"))),
    why && el("p", null, why),
    el("ul", "plain", [...standings, ...considered.map(({ sentence }) => sentence)].map((text) => el("li", null, text))),
    el("ul", "rules", about.map(ruleRow)));
}

function ruleRow({ id: name, effect, matches, misses = [] }) {
  const state = matches ? effect : "none";
  return el("li", `rule ${state}`, el("p", null, el("code", null, name), " ", el("span", "soft", say(`rule.${state}`))), misses.map(({ needed }) => el("p", "soft", needed)));
}
