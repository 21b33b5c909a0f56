// leancloud-storage: `AV.Cloud.run`, as apps call the cloud functions of LeanCloud's own examples. chat-signer stands in for the cloud
// engine, and asks LeanCloud whose the session is.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { leancloudSignature } from './support/crypto.js';
import { LeanCloud } from './support/leancloud.js';
import { Backend, LEANCLOUD, ROOM, Signer } from './support/signer.js';

const require = createRequire(import.meta.url);
const AV = require('leancloud-storage');
const { Realtime } = require('leancloud-realtime');

const MANAGER = '65847593aabbccddeeff0011';
const USERS = { 'fake-session-of-a-manager': MANAGER, 'fake-session-of-tom': 'tom', 'fake-session-of-carol': 'carol' };

let backend, signer, cloud;

before(async () => {
  backend = await Backend.start(USERS);
  [signer, cloud] = await Promise.all([Signer.start(backend), LeanCloud.start()]);
  AV.init({ appId: LEANCLOUD.appId, appKey: LEANCLOUD.appKey, serverURLs: { api: backend.url, engine: signer.url } });
});
after(() => Promise.all([signer.stop(), backend.stop(), cloud.stop()]));

/** The text that was signed, if it is, without the time and the nonce. */
function signed({ signature, timestamp, nonce, msg }) {
  assert.equal(signature, leancloudSignature(LEANCLOUD.masterKey, msg));
  const parts = msg.split(':').map((part) => ({ [timestamp]: 'T', [nonce]: 'N' })[part] ?? part);
  return parts.slice(1).join(':');
}

test('every function signs, for whoever is logged in', async () => {
  await AV.User.become('fake-session-of-a-manager');
  const clientId = MANAGER;
  const conversationId = ROOM;
  const members = ['zoe', 'bob'];
  for (const [name, params, text] of [
    ['signLogin', { clientId }, `${MANAGER}::T:N`],
    ['signStartConversation', { clientId, members: [MANAGER, 'bob'], action: 'create', conversationId: null }, `${MANAGER}:${MANAGER}:bob:T:N`],
    ['signOperateConversation', { clientId, conversationId, members, action: 'add' }, `${MANAGER}:${ROOM}:bob:zoe:T:N:invite`],
    ['signOperateConversation', { clientId, conversationId, members, action: 'kick' }, `${MANAGER}:${ROOM}:bob:zoe:T:N:kick`],
    ['signQueryMessage', { clientId, conversationId }, `${MANAGER}:${ROOM}:N:T`],
    ['signBlockConversation', { clientId, conversationId, action: 'client-block-conversations' }, `${MANAGER}:${ROOM}::T:N:client-block-conversations`],
    ['signBlockConversation', { clientId, conversationId, action: 'client-unblock-conversations' }, `${MANAGER}:${ROOM}::T:N:client-unblock-conversations`],
    ['signBlockClient', { clientId, conversationId, members, action: 'conversation-block-clients' }, `${MANAGER}:${ROOM}:bob:zoe:T:N:conversation-block-clients`],
    ['sign2', { client_id: MANAGER, conv_id: ROOM, members, action: 'invite' }, `${MANAGER}:${ROOM}:bob:zoe:T:N:invite`],
  ]) {
    assert.equal(signed(await AV.Cloud.run(name, params)), text, name);
  }
});

test('history is read with its signature', async () => {
  const user = await AV.User.become('fake-session-of-tom');
  const { signature, timestamp, nonce } = await AV.Cloud.run('signQueryMessage', { clientId: user.id, conversationId: ROOM });
  const query = new URLSearchParams({ convid: ROOM, peerid: user.id, nonce, signature_ts: timestamp, signature });
  const response = await fetch(`${cloud.restUrl}/1.1/rtm/messages/history?${query}`);
  assert.deepEqual([response.status, (await response.json())[0].data], [200, 'hello']);
});

test('a client made of a user is known by the user’s id', async () => {
  const user = await AV.User.become('fake-session-of-a-manager');
  const realtime = new Realtime({ ...LEANCLOUD, server: '127.0.0.1:9', RTMServers: cloud.url });
  // The SDK hands the user to its factories, not the user's id. `AV.Cloud.run` would not take it; as JSON it has an `objectId`.
  const sign = async (conv_id, client_id, members, action) => {
    assert.equal(client_id, user);
    const headers = { 'x-lc-session': user.getSessionToken(), 'content-type': 'application/json' };
    const body = JSON.stringify({ client_id, conv_id, members, action });
    return (await fetch(`${signer.url}/sign2`, { method: 'POST', headers, body })).json();
  };
  const client = await realtime.createIMClient(user, { signatureFactory: (client) => sign(null, client), conversationSignatureFactory: sign });
  await client.createConversation({ members: ['bob'] });
  assert.deepEqual(cloud.accepted, [`${MANAGER}:`, `${MANAGER}:${MANAGER}:bob`]);
  await client.close();
});

test('a refusal is an error with its reason', async () => {
  await AV.User.become('fake-session-of-tom');
  const kick = { clientId: 'tom', conversationId: ROOM, members: ['bob'], action: 'remove' };
  await assert.rejects(AV.Cloud.run('signOperateConversation', kick), {
    code: 403,
    rawMessage: `kick is not allowed in ${ROOM}: Only managers and owners add and remove members.`,
    message: /^kick is not allowed in .* \[403 POST http:/,
  });
  await assert.rejects(AV.Cloud.run('signLogin', { clientId: 'bob' }), { code: 403, rawMessage: /^login is not allowed/ });
  await assert.rejects(AV.Cloud.run('signQueryMessage', { clientId: 'tom' }), { code: 1, rawMessage: /^conversationId must be given/ });
  await assert.rejects(AV.Cloud.run('averageStars', {}), { code: 1, rawMessage: /^There is no cloud function of this name/ });
  await assert.rejects(AV.Cloud.run('signLogin', {}, { sessionToken: 'fake-session-of-nobody' }), { code: 401 });
  await AV.User.logOut();
  await assert.rejects(AV.Cloud.run('signLogin', {}), { code: 401, rawMessage: /credential/ });
});

test('nobody is let in while LeanCloud can not tell who it is', async (context) => {
  context.after(() => (backend.down = false));
  backend.down = true;
  const options = { sessionToken: 'fake-session-of-tom' };
  await assert.rejects(AV.Cloud.run('signLogin', {}, options), { code: 1, message: /\[503 POST/ });
});

test('a ban holds from the next call on', async (context) => {
  const options = { sessionToken: 'fake-session-of-carol' };
  await AV.Cloud.run('signLogin', {}, options);
  await signer.ban('carol', 'spam');
  context.after(() => signer.pardon());
  await assert.rejects(AV.Cloud.run('signLogin', {}, options), { code: 403, rawMessage: 'carol is banned: spam' });
});
