// The fields of a request: a control for each, made from the OpenAPI document.

import { el } from "./dom.js";

/** Names that the fields of several vendors share. Other fields have the names of the vendor. */
const TITLES = { conv_id: "Conversation", members: "Members", capability: "Capability", ttl: "Lifetime" };

/** Explanations that are better here than in the document, which is for programmers. */
const HINTS = { ttl: "For example 30m or 1h. Empty: the app’s default.", capability: "Channels and operations, as JSON. Empty: the app’s default." };

/**
 * Makes the control of a field, and its row with name and explanation. `route` is the description of the route. Returns null for a field
 * that has no effect.
 */
export function input(name, app, route, schemas) {
  const content = route.post.requestBody.content["application/json"];
  const schema = find(content.schema, name, schemas) ?? {};
  if (!schema.type && !schema.anyOf && !schema.oneOf) return null;
  if (schema.maxItems === 0 || schema.maxProperties === 0) return null;
  const kind = kindOf(schema, schemas);
  const isClient = name === app.client_field;
  const field = el(kind === "json" ? "textarea" : "input", name === app.conversation_field ? "identifier" : null);
  Object.assign(field, { id: name, name, spellcheck: false, autocapitalize: "none", placeholder: example(content, name) });
  field.dataset.type = kind;
  if (isClient) field.setAttribute("list", "people");
  if (name === "conv_id") field.setAttribute("list", "conversations");
  const label = el("label", null, isClient ? "Client" : (TITLES[name] ?? name));
  label.htmlFor = name;
  const hint = isClient ? "The user that the request is for. Empty: the caller." : (HINTS[name] ?? explanation(schema, kind));
  const small = hint ? el("small", null, hint) : null;
  if (small) {
    small.id = `${name}-hint`;
    field.setAttribute("aria-describedby", small.id);
  }
  return { row: el("p", "field", label, field, small), field };
}

function explanation({ description }, kind) {
  const parts = [description, kind === "list" ? "Separated by commas" : null];
  return parts.filter(Boolean).map((part) => `${part.replaceAll("`", "")}.`).join(" ");
}

/** Returns the value of a field in the first example that has it. */
function example({ examples = {} }, name) {
  const found = Object.values(examples).map(({ value }) => value?.[name]).find(Boolean);
  if (!found) return "";
  return Array.isArray(found) ? found.join(", ") : typeof found === "object" ? JSON.stringify(found) : String(found);
}

/** Returns the schema of a property, also if the schema of the body has alternatives. */
function find(schema, name, schemas) {
  const whole = resolve(schema, schemas);
  if (whole.properties?.[name]) return resolve(whole.properties[name], schemas);
  const parts = [...(whole.anyOf ?? []), ...(whole.oneOf ?? []), ...(whole.allOf ?? [])];
  return parts.map((part) => find(part, name, schemas)).find(Boolean);
}

const resolve = (schema, schemas) => (schema.$ref ? { ...schemas[schema.$ref.split("/").pop()], ...schema } : schema);

/** Returns what the text of a field is: a `list`, `json`, a `number` if it has only digits, or a `text`. */
function kindOf(schema, schemas) {
  const types = typesOf(schema, schemas);
  return types.includes("array") ? "list" : types.includes("object") ? "json" : types.includes("integer") ? "number" : "text";
}

/** Returns the types of a schema and of its alternatives. */
function typesOf(schema, schemas) {
  const whole = resolve(schema, schemas);
  return [whole.type ?? [], ...(whole.anyOf ?? whole.oneOf ?? []).map((part) => typesOf(part, schemas))].flat();
}

/**
 * Returns the value of a field.
 * @throws {Error} with a message for the page, if the text cannot be parsed.
 */
export function parse({ name, dataset: { type } }, text) {
  if (type === "list") return text.split(",").map((item) => item.trim());
  if (type === "number" && /^\d+$/.test(text)) return Number(text);
  if (type !== "json") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The ${name} is not JSON: ${error.message}`);
  }
}
