// Supabase's own library verifies the tokens of the preset `supabase`.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { AuthClient } from '@supabase/auth-js';

import { Signer, SUPABASE, callerToken } from './support/signer.js';

const USER = '0b9f3c5e-1d2a-4f6b-8c7d-9e0f1a2b3c4d';
let signer;

before(async () => {
  signer = await Signer.start();
});
after(() => signer.stop());

const ask = async (subject) => {
  const headers = { authorization: `Bearer ${callerToken(subject)}` };
  const response = await fetch(`${signer.url}/v1/supabase/token`, { method: 'POST', headers });
  return { status: response.status, answer: await response.json() };
};

test('a token is one of a signed-in user', async () => {
  const auth = new AuthClient({ url: 'http://127.0.0.1:9', autoRefreshToken: false, persistSession: false });
  const { answer } = await ask(USER);
  const { data, error } = await auth.getClaims(answer.token, { jwks: { keys: [SUPABASE.jwk] } });
  assert.equal(error, null);
  const { sub, role, aud, iat, exp, ...others } = data.claims;
  assert.deepEqual([sub, role, aud, exp - iat, others], [USER, 'authenticated', 'authenticated', 3600, {}]);
  assert.deepEqual(data.header, { alg: 'ES256', typ: 'JWT', kid: SUPABASE.kid });
  const [header, claims, signature] = answer.token.split('.');
  const service = Buffer.from(JSON.stringify({ ...data.claims, role: 'service_role' })).toString('base64url');
  const forged = await auth.getClaims([header, service, signature].join('.'), { jwks: { keys: [SUPABASE.jwk] } });
  assert.ok(claims !== service && forged.error);
});

test('users of Supabase have UUIDs', async () => {
  const { status, answer } = await ask('tom');
  assert.equal(status, 400);
  assert.match(answer.detail, /user_id must be a UUID/);
});
