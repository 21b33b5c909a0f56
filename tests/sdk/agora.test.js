// Agora's own library parses and verifies the tokens.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { AGORA, Signer, callerToken } from './support/signer.js';

const { AccessToken2, kChatServiceType, kRtcServiceType, kRtm2ServiceType } = createRequire(import.meta.url)('agora-token/src/AccessToken2.js');

let signer;

before(async () => {
  signer = await Signer.start();
});
after(() => signer.stop());

const ask = async (subject, path, body) => {
  const headers = { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' };
  const response = await fetch(`${signer.url}/v1/agora/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
};

/** The only service of a verified token, as the library reads it. */
async function open(path, body, kind) {
  const { status, answer } = await ask('tom', path, body);
  assert.equal(status, 200, JSON.stringify(answer));
  const token = new AccessToken2();
  assert.ok(token.from_string(answer.token) && token.verifySignature(AGORA.certificate));
  assert.ok(!token.verifySignature('0'.repeat(32)));
  assert.deepEqual([token.appId.toString(), answer.user_id, answer.expires_at], [AGORA.appId, 'tom', token.issueTs + token.expire]);
  assert.equal(token.services.length, 1);
  const [service] = token.getServices(kind);
  return { token, service };
}

test('a token for Chat is for a user', async () => {
  const { token, service } = await open('chat-token', { ttl: '30m' }, kChatServiceType);
  assert.equal(token.expire, 1800);
  assert.deepEqual([service.__user_id.toString(), { ...service.__privileges }], ['tom', { 1: 1800 }]);
});

test('a token for RTC has what the policy allows', async () => {
  const { service } = await open('rtc-token', { channel: 'chat:lobby', ttl: 600 }, kRtcServiceType);
  assert.deepEqual([service.__channel_name, service.__uid].map(String), ['chat:lobby', 'tom']);
  assert.deepEqual({ ...service.__privileges }, { 1: 600, 2: 600, 3: 600, 4: 600 });
  const { status, answer } = await ask('tom', 'rtc-token', { channel: 'other' });
  assert.equal(status, 403, JSON.stringify(answer));
});

test('a token for Signaling has the granted channels only', async () => {
  const channels = { 'chat:lobby': ['subscribe', 'publish'], 'chat:news': ['subscribe'], other: ['publish'] };
  const { service } = await open('rtm-token', { channels }, kRtm2ServiceType);
  const lists = { 0: ['chat:lobby', 'chat:news'], 1: ['chat:lobby'] };
  const nothing = { 0: [], 1: [] };
  assert.equal(service.__user_id.toString(), 'tom');
  assert.deepEqual(service.__permissions.details, { 0: lists, 1: lists, 2: nothing, 3: nothing, 4: nothing });
  assert.equal((await ask('tom', 'rtm-token', {})).status, 400);
});

test('capital letters, any user and banned users are refused', async (context) => {
  assert.match((await ask('Tom', 'chat-token', {})).answer.detail, /no capital letters/);
  assert.match((await ask('0', 'rtc-token', { channel: 'chat:lobby' })).answer.detail, /any user/);
  await signer.ban('eve', 'spam');
  context.after(() => signer.pardon());
  const { status, answer } = await ask('eve', 'chat-token', {});
  assert.equal(status, 403);
  assert.match(answer.detail, /spam/);
});
