// Requests signatures and tokens from chat-signer, in the form that each chat SDK expects. README.md describes the options.

/** The time in milliseconds that one request may take. */
const TIMEOUT = 10_000;
/** The time in milliseconds in which requests are repeated, if the option `retryFor` does not set it. */
const RETRY_FOR = 30_000;

/** A refusal. `code` is for programs, `message` is for people. `status` is the HTTP status, or 0 if there was no answer. */
class SignerError extends Error {
  constructor(message, { status = 0, code, requestId, cause } = {}) {
    super(message, cause && { cause });
    Object.assign(this, { name: 'SignerError', status, code, requestId });
  }
}

/** The user is banned: in `conversation` (`*` means everywhere), until a time or without end, for a reason if there is one. */
class BannedError extends SignerError {
  constructor(message, { ban, reason, ...rest }) {
    super(message, rest);
    const { user, conversation, until } = ban ?? {};
    Object.assign(this, { name: 'BannedError', user, conversation, until: until && new Date(until), reason });
  }
}

/** The policy does not allow the request. `rule` is the rule that decided, `reason` is its text for the user. */
class DeniedError extends SignerError {
  constructor(message, { rule, reason, ...rest }) {
    super(message, rest);
    Object.assign(this, { name: 'DeniedError', rule, reason });
  }
}

/** The problem is temporary, and repeated requests did not help. Try again after `retryAfter` seconds. */
class RetryLaterError extends SignerError {
  constructor(message, { retryAfter = 1, ...rest }) {
    super(message, rest);
    Object.assign(this, { name: 'RetryLaterError', retryAfter });
  }
}

/** Requests the operation of an app, and returns the answer: a text if the answer is a JWT, otherwise the JSON value. */
async function sign(options, operation, params) {
  const address = new URL(`${options.url.replace(/\/$/, '')}/v1/${options.app}/${operation}`, globalThis.location?.href).href;
  const deadline = Date.now() + (options.retryFor ?? RETRY_FOR);
  for (let attempt = 0; ; attempt++) {
    try {
      return await request(options, address, { ...params, ...options.params });
    } catch (error) {
      // The random part spreads the requests of many clients.
      const wait = error.retryAfter * 1000 + Math.random() * Math.min(8000, 250 * 2 ** attempt);
      if (!(error instanceof RetryLaterError) || Date.now() + wait > deadline) {
        options.onError?.(error);
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

async function request({ token, headers, credentials, fetch = globalThis.fetch }, address, params) {
  const bearer = typeof token === 'function' ? await token() : token;
  const asked = fetch(address, {
    method: 'POST',
    headers: {
      accept: 'application/json, application/jwt, application/problem+json',
      'content-type': 'application/json',
      ...(bearer && { authorization: `Bearer ${bearer}` }),
      ...headers,
    },
    body: JSON.stringify(params),
    credentials: credentials ?? (bearer ? 'same-origin' : 'include'),
    signal: AbortSignal.timeout(TIMEOUT),
  });
  const [response, text] = await asked.then(async (response) => [response, await response.text()]).catch((cause) => {
    throw new RetryLaterError(`chat-signer at ${address} cannot be reached: ${cause.message}`, { code: 'unreachable', cause });
  });
  const type = response.headers.get('content-type')?.split(';')[0].trim().toLowerCase();
  if (response.ok && type === 'application/jwt') return text;
  const answer = parse(text);
  if (response.ok && type === 'application/json' && answer) return answer;
  throw refusal(response, answer);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the error for an answer that is a problem (RFC 9457), or that comes from a server in between. */
function refusal({ status, headers }, problem) {
  const { detail = `chat-signer or a proxy gives an unexpected answer with the status ${status}`, code = 'unexpected_answer' } = problem ?? {};
  const members = { ...problem, status, code, requestId: headers.get('x-request-id') ?? undefined };
  if (code === 'banned') return new BannedError(detail, members);
  if (code === 'denied') return new DeniedError(detail, members);
  if (status !== 429 && status < 502) return new SignerError(detail, members);
  return new RetryLaterError(detail, { ...members, retryAfter: Number(headers.get('retry-after')) || 1 });
}

/** The operation for a word of the SDK, without the words that are already names of operations. */
const OPERATIONS = {
  add: 'invite',
  remove: 'kick',
  block: 'block-clients',
  unblock: 'unblock-clients',
  'conversation-block-clients': 'block-clients',
  'conversation-unblock-clients': 'unblock-clients',
};

/** The operation if the client is the only member. */
const OWN = { invite: 'join', kick: 'leave' };

/** Returns the signature factories for `createIMClient` of leancloud-realtime. */
function leancloudSignatureFactory(options) {
  const { sdkVersion = 4, ...rest } = { app: 'leancloud', ...options };
  const id = (client) => client?.id ?? client;
  const conversation = (conv_id, client, members, word) => {
    const client_id = id(client);
    const operation = OPERATIONS[word] ?? word;
    const isOwn = members?.length === 1 && members[0] === client_id;
    return sign(rest, (isOwn && OWN[operation]) || operation, { client_id, conv_id: conv_id ?? undefined, members });
  };
  return {
    signatureFactory: (client) => sign(rest, 'login', { client_id: id(client) }),
    conversationSignatureFactory: conversation,
    // Version 4 passes the client before the conversation.
    blacklistSignatureFactory: sdkVersion === 4 ? (client, conv_id, ...more) => conversation(conv_id, client, ...more) : conversation,
  };
}

/** Returns an `authCallback` for Ably's SDK, which gives up after 10 seconds and tries again later. */
function ablyAuthCallback(options) {
  const rest = { app: 'ably', retryFor: 8000, ...options };
  return ({ clientId, capability, ttl }, callback) => {
    sign(rest, 'token', { clientId, capability, ttl }).then((token) => callback(null, token), (error) => callback(ablyError(error), null));
  };
}

/** Ably's SDK stops only at a 403. It repeats all other requests, and takes the name of an error as a part of its message. */
function ablyError(error) {
  const { message, status = 0 } = error;
  const isFinal = status >= 400 && status < 500 && ![401, 408, 429].includes(status);
  const statusCode = isFinal ? 403 : status || 503;
  return Object.assign(new Error(message, { cause: error }), { name: '', statusCode, code: statusCode === 503 ? 50003 : statusCode * 100 });
}

/** Returns a `tokenFetcher` for @talkjs/core. If a fetcher throws, the session ends, so this one repeats requests for five minutes. */
function talkjsTokenFetcher(options) {
  const rest = { app: 'talkjs', retryFor: 300_000, ...options };
  return async () => (await sign(rest, 'token')).token;
}

module.exports = { SignerError, BannedError, DeniedError, RetryLaterError, sign, leancloudSignatureFactory, ablyAuthCallback, talkjsTokenFetcher };
