// Tencent's own library: its documents are the ones of the answers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { inflateSync } from 'node:zlib';

import TLSSigAPIv2 from 'tls-sig-api-v2';

import { Signer, TENCENT, callerToken } from './support/signer.js';

let signer;

before(async () => {
  signer = await Signer.start();
});
after(() => signer.stop());

const ask = async (subject, path, body) => {
  const headers = { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' };
  const response = await fetch(`${signer.url}/v1/tencent/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
};

const open = (userSig) => {
  const standard = userSig.replace(/\*/g, '+').replace(/-/g, '/').replace(/_/g, '=');
  return JSON.parse(inflateSync(Buffer.from(standard, 'base64')));
};

/** What the library makes at the time of a document. */
function library(context, document, make) {
  context.mock.timers.enable({ apis: ['Date'], now: document['TLS.time'] * 1000 });
  const made = open(make(new TLSSigAPIv2.Api(TENCENT.sdkAppId, TENCENT.secret)));
  context.mock.timers.reset();
  return made;
}

test('a UserSig is the one of the library', async (context) => {
  const { answer } = await ask('tom', 'user-sig', { ttl: '30m' });
  const document = open(answer.user_sig);
  assert.deepEqual(document, library(context, document, (api) => api.genUserSig('tom', 1800)));
  const { user_id, sdk_app_id, expires_at } = answer;
  assert.deepEqual([user_id, sdk_app_id, expires_at], ['tom', TENCENT.sdkAppId, document['TLS.time'] + 1800]);
});

test('a PrivateMapKey has the room and what the policy allows', async (context) => {
  const { answer } = await ask('tom', 'private-map-key', { room_id: 'chat:lobby', ttl: 300 });
  const document = open(answer.user_sig);
  // Create, enter, send and receive.
  const expected = library(context, document, (api) => api.genPrivateMapKeyWithStringRoomID('tom', 300, 'chat:lobby', 255));
  assert.deepEqual(document, expected);
  const outside = open((await ask('tom', 'private-map-key', { room_id: 1234, ttl: 300 })).answer.user_sig);
  assert.deepEqual(outside, library(context, outside, (api) => api.genPrivateMapKey('tom', 300, 1234, 3)), 'create and enter');
});

test('administrators and banned users are refused', async (context) => {
  assert.match((await ask('administrator', 'user-sig', {})).answer.detail, /must not be an administrator/);
  await signer.ban('eve', 'spam');
  context.after(() => signer.pardon());
  const { status, answer } = await ask('eve', 'user-sig', {});
  assert.equal(status, 403);
  assert.match(answer.detail, /spam/);
});
