// centrifuge with `getToken`.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, test } from 'node:test';

import { Centrifuge, UnauthorizedError } from 'centrifuge';
import { WebSocket } from 'ws';

import { Centrifugo } from './support/centrifugo.js';
import { Signer, callerToken } from './support/signer.js';

let signer, cloud;

before(async () => {
  [signer, cloud] = await Promise.all([Signer.start(), Centrifugo.start()]);
});
after(() => Promise.all([signer.stop(), cloud.stop()]));
beforeEach(() => cloud.claims.splice(0));

/** The function of docs/sdks.md. */
const getTokenOf = (subject) => async ({ channel }) => {
  const kind = channel === undefined ? 'connection-token' : 'subscription-token';
  const headers = { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ channel });
  const response = await fetch(`${signer.url}/v1/centrifugo/${kind}`, { method: 'POST', headers, body });
  const answer = await response.json();
  if (response.ok) return answer.token;
  if (response.status === 429 || response.status === 503) throw new Error(answer.detail);
  throw new UnauthorizedError(answer.detail);
};

/** A client of the stand-in, gone with the test. */
function client(context, subject) {
  const made = new Centrifuge(cloud.url, { getToken: getTokenOf(subject), websocket: WebSocket });
  context.after(() => made.disconnect());
  return made;
}

test('connects and subscribes', async (context) => {
  const centrifuge = client(context, 'tom');
  const subscription = centrifuge.newSubscription('chat:lobby', { getToken: getTokenOf('tom') });
  subscription.subscribe();
  centrifuge.connect();
  await once(subscription, 'subscribed');
  assert.deepEqual(cloud.claims.map((claims) => Object.keys(claims).sort()), [['exp', 'iat', 'sub'], ['channel', 'exp', 'iat', 'sub']]);
});

test('a refused subscription ends, and the connection stays', async (context) => {
  const centrifuge = client(context, 'tom');
  const subscription = centrifuge.newSubscription('secret', { getToken: getTokenOf('tom') });
  subscription.subscribe();
  centrifuge.connect();
  const [[{ code }]] = await Promise.all([once(subscription, 'unsubscribed'), centrifuge.ready(10_000)]);
  assert.deepEqual([code, centrifuge.state, cloud.claims.length], [1, 'connected', 1]);
});

test('a banned user is disconnected for good', async (context) => {
  await signer.ban('eve', 'spam');
  context.after(() => signer.pardon());
  const centrifuge = client(context, 'eve');
  centrifuge.connect();
  const [{ code }] = await once(centrifuge, 'disconnected');
  assert.deepEqual([code, centrifuge.state, cloud.claims.length], [1, 'disconnected', 0]);
});
