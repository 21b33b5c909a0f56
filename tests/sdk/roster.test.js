// Moderators who act at run time, in the middle of sessions of ably-js and @talkjs/core.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, mock, test } from 'node:test';

import { getTalkSession, registerPolyfills } from '@talkjs/core';
import * as AblySdk from 'ably';
import { WebSocket } from 'ws';

import { Ably, reaches } from './support/ably.js';
import { Signer, TALKJS, callerToken } from './support/signer.js';
import { TalkJs } from './support/talkjs.js';

const { Realtime } = AblySdk.default ?? AblySdk;

const clients = [];
afterEach(() => clients.splice(0).forEach((client) => client.close()));

/** A client of this user's that asks for tokens here and talks to this cloud. */
function realtime(signer, cloud, user) {
  const authUrl = `${signer.url}/v1/ably/token`;
  const client = new Realtime({ ...cloud.options, logLevel: 0, authUrl, authHeaders: { authorization: `Bearer ${callerToken(user)}` }, disconnectedRetryTimeout: 50 });
  clients.push(client);
  return client;
}

function assertBanned(reason, user) {
  assert.deepEqual([reason.statusCode, reason.code], [403, 80019]);
  const { message, code, statusCode } = reason.cause;
  assert.deepEqual({ message, code, statusCode }, { message: `${user} is banned: spam`, code: 40300, statusCode: 403 });
}

describe('a ban at run time', () => {
  let signer, cloud;
  before(async () => ([signer, cloud] = await Promise.all([Signer.start(), Ably.start()])));
  after(() => Promise.all([signer.stop(), cloud.stop()]));

  test('has the next renewal of a token end in FAILED, with the reason', async () => {
    const [tom, ann] = ['tom', 'ann'].map((user) => realtime(signer, cloud, user));
    await Promise.all([reaches(tom, 'connected'), reaches(ann, 'connected')]);
    await signer.moderate('bans', 'tom', { reason: 'spam' });
    await tom.channels.get('chat:lobby').publish('greeting', 'said before the token was renewed');
    cloud.reauthenticate();
    assertBanned(await reaches(tom, 'failed'), 'tom');
    assert.equal(ann.connection.state, 'connected');
    assert.deepEqual(cloud.revoked, []);

    assertBanned(await reaches(realtime(signer, cloud, 'tom'), 'failed'), 'tom');
    await signer.moderate('bans/lift', 'tom');
    await reaches(realtime(signer, cloud, 'tom'), 'connected');
  });
});

describe('where Ably is told', () => {
  let signer, cloud;
  before(async () => {
    cloud = await Ably.start();
    signer = await Signer.start(undefined, { enforced: cloud });
  });
  beforeEach(() => (cloud.revoked = []));
  after(() => Promise.all([signer.stop(), cloud.stop()]));

  test('a ban ends the session by itself', async () => {
    const [tom, ann] = ['tom', 'ann'].map((user) => realtime(signer, cloud, user));
    await Promise.all([reaches(tom, 'connected'), reaches(ann, 'connected')]);
    await signer.moderate('bans', 'tom', { reason: 'spam' });
    assertBanned(await reaches(tom, 'failed'), 'tom');
    assert.deepEqual(cloud.revoked, ['clientId:tom']);
    assert.equal(ann.connection.state, 'connected');
  });

  test('a mute takes away what sends, and the session goes on', async () => {
    const loud = realtime(signer, cloud, 'loud');
    await reaches(loud, 'connected');
    const channel = loud.channels.get('chat:lobby');
    await channel.publish('greeting', 'hello');
    const again = loud.connection.once('connected');
    await signer.moderate('mutes', 'loud', { conversation: 'chat:*' });
    await again;
    assert.deepEqual(cloud.revoked, ['clientId:loud']);
    await assert.rejects(channel.publish('greeting', 'hello?'), { code: 40160 });
    await channel.subscribe(() => {});
  });
});

describe('@talkjs/core', () => {
  let signer, cloud;
  before(async () => {
    registerPolyfills({ WebSocket });
    [signer, cloud] = await Promise.all([Signer.start(), TalkJs.start()]);
  });
  after(() => Promise.all([signer.stop(), cloud.stop()]));
  afterEach(() => mock.restoreAll());

  test('ends a session with the reason when it is banned in the middle of it', async () => {
    mock.method(console, 'error', () => {});
    const tokenFetcher = async () => {
      const headers = { authorization: `Bearer ${callerToken('tom')}` };
      const answer = await (await fetch(`${signer.url}/v1/talkjs/token`, { headers })).json();
      if (answer.token === undefined) throw new Error(answer.detail);
      return answer.token;
    };
    const tom = getTalkSession({ appId: TALKJS.appId, userId: 'tom', host: cloud.host, forceCreateNew: true, tokenFetcher });
    await tom.currentUser.createIfNotExists({ name: 'Tom' });
    await signer.moderate('bans', 'tom', { reason: 'spam' });
    const ended = new Promise((resolve) => tom.onError(resolve));
    cloud.expire();
    assert.match((await ended).message, /Error: tom is banned: spam$/);
  });
});
