// stream-chat with a token provider.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { JWTUserToken, StreamChat } from 'stream-chat';

import { verifyJwt } from './support/crypto.js';
import { STREAM, Signer, callerToken } from './support/signer.js';
import { Stream } from './support/stream.js';

let signer, cloud;

before(async () => {
  [signer, cloud] = await Promise.all([Signer.start(), Stream.start()]);
});
after(() => Promise.all([signer.stop(), cloud.stop()]));
beforeEach(() => {
  cloud.tokens.length = 0;
  cloud.expired.clear();
});

const ask = (subject, body) => {
  const headers = { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' };
  return fetch(`${signer.url}/v1/stream/token`, { method: 'POST', headers, body: JSON.stringify(body ?? {}) });
};

/** The provider of docs/sdks.md. */
const provider = (subject) => async () => {
  const headers = { authorization: `Bearer ${callerToken(subject)}` };
  const response = await fetch(`${signer.url}/v1/stream/token`, { method: 'POST', headers });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer.token;
};

/** A client of the stand-in, gone with the test. */
function client(context) {
  const made = new StreamChat(STREAM.apiKey, { logger: () => {}, allowServerSideConnect: true });
  made.setBaseURL(cloud.url);
  context.after(() => made.disconnectUser());
  return made;
}

describe('tokens', () => {
  test("are those of Stream's library, byte for byte", async () => {
    const answer = await (await ask('tom')).json();
    const { claims } = verifyJwt(STREAM.secret, answer.token);
    assert.deepEqual(Object.keys(claims).sort(), ['exp', 'iat', 'user_id']);
    assert.deepEqual([answer.user_id, answer.expires_at], ['tom', claims.exp]);
    assert.equal(answer.token, JWTUserToken(STREAM.secret, 'tom', { exp: claims.exp, iat: claims.iat }));
  });

  test('are for the calls that the policy allows', async () => {
    const answer = await (await ask('tom', { call_cids: ['default:a', 'audio:b'] })).json();
    assert.deepEqual(verifyJwt(STREAM.secret, answer.token).claims.call_cids, ['default:a', 'audio:b']);
  });

  test('are refused for other users, and with claims that give more', async () => {
    assert.equal((await ask('tom', { user_id: 'alice' })).status, 403);
    for (const more of [{ server: true }, { role: 'admin' }, { call_cids: [] }]) assert.equal((await ask('tom', more)).status, 400);
  });
});

describe('connectUser', () => {
  test('connects with the token of the provider', async (context) => {
    await client(context).connectUser({ id: 'tom' }, provider('tom'));
    assert.equal(cloud.tokens.length, 1);
  });

  test('rejects with the reason of a refusal, and does not ask for ever', async (context) => {
    await signer.ban('eve', 'spam');
    context.after(() => signer.pardon());
    let asked = 0;
    const counting = () => (asked++, provider('eve')());
    await assert.rejects(client(context).connectUser({ id: 'eve' }, counting), /Call to tokenProvider failed with message: .*spam/);
    assert.deepEqual([asked, cloud.tokens.length], [2, 0]);
  });
});
