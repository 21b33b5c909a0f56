// What the clouds compute to check a signature or token, with Node's own crypto.

import { createHmac, timingSafeEqual } from 'node:crypto';

const hmac = (hash, key, text, encoding) => createHmac(hash, key).update(text).digest(encoding);

/** LeanCloud's signature of a text. */
export const leancloudSignature = (masterKey, text) => hmac('sha1', masterKey, text, 'hex');

/** The `mac` of an Ably TokenRequest: six lines, an absent field an empty one. */
export function ablyMac(secret, { keyName, ttl = '', capability = '', clientId = '', timestamp, nonce }) {
  const lines = [keyName, ttl, capability, clientId, timestamp, nonce, ''];
  return hmac('sha256', secret, lines.join('\n'), 'base64');
}

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JSON Web Token, HS256. */
export function jwt(secret, claims, header = {}) {
  const input = `${encode({ alg: 'HS256', typ: 'JWT', ...header })}.${encode(claims)}`;
  return `${input}.${hmac('sha256', secret, input, 'base64url')}`;
}

/** The header and claims of a token, if it is signed with this secret and has not expired. */
export function verifyJwt(secret, token) {
  const [header, claims, signature] = token.split('.');
  const expected = hmac('sha256', secret, `${header}.${claims}`);
  const given = Buffer.from(signature ?? '', 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error('the signature does not hold');
  const [head, body] = [header, claims].map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  if (head.alg !== 'HS256') throw new Error(`signed with ${head.alg}`);
  if (body.exp * 1000 <= Date.now()) throw new Error('expired');
  return { header: head, claims: body };
}
