// centrifuge at a Centrifugo that asks chat-signer by its proxy protocol.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, test } from 'node:test';

import { Centrifuge } from 'centrifuge';
import { WebSocket } from 'ws';

import { ProxiedCentrifugo } from './support/centrifugo-proxy.js';
import { Backend, Signer, callerToken } from './support/signer.js';

let signer, cloud, backend;

before(async () => {
  backend = await Backend.start({ 'fake-session-of-carol': 'carol' });
  signer = await Signer.start(backend);
  cloud = await ProxiedCentrifugo.start(signer.url);
});
after(() => Promise.all([signer.stop(), cloud.stop(), backend.stop()]));
beforeEach(() => cloud.asked.splice(0));

/** A client with these options, gone with the test. */
function client(context, options, url = cloud.url) {
  const made = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 1, maxReconnectDelay: 1, ...options });
  context.after(() => made.disconnect());
  made.connect();
  return made;
}

/** A connected client of this user, whose token is in `data`. */
async function connected(context, user) {
  const centrifuge = client(context, { data: { token: callerToken(user) } });
  await centrifuge.ready(10_000);
  return centrifuge;
}

async function subscribed(centrifuge, channel) {
  const subscription = centrifuge.newSubscription(channel);
  subscription.subscribe();
  await subscription.ready(10_000);
  return subscription;
}

test('a client is the user of its token or cookie', async (context) => {
  const carol = { 'Cookie': 'sid=fake-session-of-carol' };
  class WithCookie extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { headers: carol });
    }
  }
  for (const options of [
    { data: { token: callerToken('tom') } },
    { headers: { Authorization: `Bearer ${callerToken('tom')}` } },
    { websocket: WithCookie },
  ]) {
    const centrifuge = client(context, options);
    await centrifuge.ready(10_000);
    assert.equal(centrifuge.state, 'connected');
  }
  assert.deepEqual([...cloud.server.clients].map(({ user }) => user), ['tom', 'tom', 'carol']);
});

test('without a valid token, a client gives up', async (context) => {
  for (const options of [{}, { data: { token: 'nonsense' } }, { headers: { Authorization: 'Bearer nonsense' } }]) {
    const [{ code }] = await once(client(context, options), 'disconnected');
    assert.equal(code, 4502);
  }
  assert.deepEqual(cloud.asked, ['connect', 'connect', 'connect']);
});

test('a mute stops the next message', async (context) => {
  const [tom, carol] = await Promise.all([connected(context, 'tom'), connected(context, 'carol')]);
  const heard = [];
  const [toms, carols] = await Promise.all([subscribed(tom, 'chat:lobby'), subscribed(carol, 'chat:lobby')]);
  carols.on('publication', ({ data }) => heard.push(data));
  await toms.publish('one');
  await signer.moderate('mutes', 'tom', { conversation: 'chat:lobby' });
  await assert.rejects(toms.publish('two'), ({ code, message }) => code === 403 && /muted/.test(message));
  await signer.moderate('mutes/lift', 'tom', { conversation: 'chat:lobby' });
  await toms.publish('three');
  await carols.publish('last');
  assert.deepEqual(heard, ['one', 'three', 'last']);
  assert.equal(tom.state, 'connected');
});

test('a refused subscription ends, and the connection stays', async (context) => {
  const tom = await connected(context, 'tom');
  const subscription = tom.newSubscription('secret');
  subscription.subscribe();
  const [{ code }] = await once(subscription, 'unsubscribed');
  await subscribed(tom, 'chat:lobby');
  assert.deepEqual([code, tom.state, cloud.asked], [403, 'connected', ['connect', 'subscribe', 'subscribe']]);
});

test('a method is an action of the policy', async (context) => {
  const tom = await connected(context, 'tom');
  assert.deepEqual((await tom.rpc('history', { channel: 'chat:lobby' })).data, { allowed: true });
  await assert.rejects(tom.rpc('history', { channel: 'secret' }), ({ code }) => code === 403);
});

test('a ban ends subscriptions and connection for good', async (context) => {
  const eve = await connected(context, 'eve');
  const subscription = await subscribed(eve, 'chat:lobby');
  await cloud.expire('eve');
  assert.deepEqual([eve.state, subscription.state], ['connected', 'subscribed']);
  await signer.moderate('bans', 'eve', { reason: 'spam' });
  await assert.rejects(subscription.publish('x'), ({ code, message }) => code === 403 && /banned/.test(message));
  const disconnected = once(eve, 'disconnected');
  await cloud.expire('eve');
  const [{ code }] = await disconnected;
  assert.equal(code, 4501);
  const again = client(context, { data: { token: callerToken('eve') } });
  const [{ code: refused }] = await once(again, 'disconnected');
  assert.deepEqual([refused, again.state], [4501, 'disconnected']);
});

test('without the key, a client goes on trying', async (context) => {
  const stranger = await ProxiedCentrifugo.start(signer.url, 'another-key-0123456789');
  context.after(() => stranger.stop());
  const tom = client(context, { data: { token: callerToken('tom') } }, stranger.url);
  while (stranger.asked.length < 2) await once(tom, 'error');
  assert.equal(tom.state, 'connecting');
});
