// Sends requests as one of the callers.

/** Sends a request with a JSON body, if there is one. */
export async function send(method, path, headers, body) {
  let response;
  try {
    response = await fetch(path, { method, headers: { ...headers, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The server does not answer. Is the server still running?");
  }
  const { ok, status, statusText } = response;
  return { ok, status, statusText, headers: response.headers, text: await response.text() };
}

/** Returns the header with the credential of a caller: a service with its header and key, or a user, who may have a role in the token. */
export async function prove({ service, as, role }) {
  if (service) return { [service.header]: service.key };
  const made = await send("POST", "/playground/token", {}, { subject: as, roles: role ? [role] : [] });
  const { token, detail } = JSON.parse(made.text);
  if (!made.ok) throw new Error(`This caller is not valid: ${detail}`);
  return { authorization: `Bearer ${token}` };
}

/** Returns the message of an error in any of the formats. */
export function detail({ text, status }) {
  try {
    const said = JSON.parse(text);
    return said.detail ?? said.error?.message ?? String(status);
  } catch {
    return String(status);
  }
}
