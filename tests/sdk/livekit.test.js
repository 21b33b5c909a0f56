// livekit-client with `TokenSource.endpoint`.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { verifyJwt } from './support/crypto.js';
import { LIVEKIT, Signer, callerToken } from './support/signer.js';

// The SDK looks at the window when it is loaded.
globalThis.window ??= globalThis;
const { TokenSource } = await import('livekit-client');

let signer;

before(async () => {
  signer = await Signer.start();
});
after(() => signer.stop());

const source = (subject) => TokenSource.endpoint(`${signer.url}/v1/livekit/token`, { headers: { authorization: `Bearer ${callerToken(subject)}` } });

test('gets a token for the room, whatever the client says about itself', async () => {
  const asked = { roomName: 'chat:lobby', participantName: 'Admin', participantMetadata: '{"admin":true}' };
  const { serverUrl, participantToken } = await source('tom').fetch(asked);
  const { claims } = verifyJwt(LIVEKIT.secret, participantToken);
  assert.deepEqual([serverUrl, claims.sub, claims.iss, claims.name, claims.metadata], [LIVEKIT.url, 'tom', LIVEKIT.apiKey, undefined, undefined]);
  const { room, roomJoin, canSubscribe, canPublish, canPublishData, roomAdmin } = claims.video;
  assert.deepEqual([room, roomJoin, canSubscribe, canPublish, canPublishData, roomAdmin], ['chat:lobby', true, true, true, false, false]);
});

test('rejects with the status and the reason', async (context) => {
  await signer.ban('eve', 'spam');
  context.after(() => signer.pardon());
  await assert.rejects(source('eve').fetch({ roomName: 'chat:lobby' }), /403[^]*spam/);
  await assert.rejects(source('tom').fetch({ roomName: 'chat:lobby', participantIdentity: 'alice' }), /403/);
  await assert.rejects(source('tom').fetch({}), /400[^]*room_name must be given/);
});
