// ably-js with an `authUrl`, and nothing else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import * as AblySdk from 'ably';

import { Ably, reaches } from './support/ably.js';
import { ABLY, Backend, Signer, callerToken } from './support/signer.js';

const { ErrorInfo, Realtime, Rest } = AblySdk.default ?? AblySdk;

/** Refusals are what these tests are about; ably-js also logs them. */
const QUIET = { logLevel: 0 };

let backend, signer, cloud;
const clients = [];

before(async () => {
  backend = await Backend.start({ 'fake-session-of-tom': 'tom' });
  [signer, cloud] = await Promise.all([Signer.start(backend), Ably.start()]);
});
after(() => Promise.all([signer.stop(), backend.stop(), cloud.stop()]));
afterEach(() => clients.splice(0).forEach((client) => client.close()));
beforeEach(() => {
  cloud.tokens = [];
  cloud.requests = [];
});

const bearer = (subject) => ({ authorization: `Bearer ${callerToken(subject)}` });

function realtime(options) {
  const client = new Realtime({ ...cloud.options, ...QUIET, authUrl: `${signer.url}/v1/ably/token`, disconnectedRetryTimeout: 50, ...options });
  clients.push(client);
  return client;
}

const capability = (claims) => JSON.parse(claims['x-ably-capability']);

describe('a token', () => {
  test('by GET, for the caller and with the configured capability', async () => {
    const client = realtime({ authHeaders: bearer('tom') });
    await reaches(client, 'connected');
    assert.equal(client.auth.clientId, 'tom');
    assert.deepEqual(capability(cloud.tokens[0]), { 'chat:*': ['publish', 'subscribe'], 'user:tom': ['subscribe'] });
    assert.equal(cloud.tokens[0].exp - cloud.tokens[0].iat, 3600);
  });

  for (const authMethod of ['GET', 'POST']) {
    test(`by ${authMethod}, with all that ably-js sends and parameters of the app’s own`, async () => {
      const client = realtime({
        authHeaders: bearer('tom'),
        authMethod,
        authParams: { room: 'a b&c', page: 1, _: '' },
        clientId: 'tom',
        defaultTokenParams: { ttl: 600_000, capability: { 'chat:lobby': ['publish', 'message-delete-any'], 'secret:x': ['*'] } },
      });
      await reaches(client, 'connected');
      // What the policy doesn't allow is left out.
      assert.deepEqual(capability(cloud.tokens[0]), { 'chat:lobby': ['publish'] });
      assert.equal(cloud.tokens[0].exp - cloud.tokens[0].iat, 600);
      await client.channels.get('chat:lobby').publish('greeting', 'hello');
      await assert.rejects(client.channels.get('secret:x').publish('greeting', 'hello'), { code: 40160 });
    });
  }

  test('request, which ably-js exchanges for a token', async () => {
    for (const authMethod of ['GET', 'POST']) {
      const client = realtime({ authUrl: `${signer.url}/v1/ably/token-request`, authMethod, authHeaders: bearer('tom'), defaultTokenParams: { ttl: 600_000 } });
      await reaches(client, 'connected');
    }
    assert.deepEqual(cloud.requests.map(({ keyName, ttl, clientId }) => [keyName, ttl, clientId]), Array(2).fill([ABLY.keyName, 600_000, 'tom']));
    assert.notEqual(cloud.requests[0].nonce, cloud.requests[1].nonce);
  });

  test('for the REST interface', async () => {
    const rest = new Rest({ ...cloud.options, ...QUIET, authUrl: `${signer.url}/v1/ably/token`, authHeaders: bearer('tom') });
    await rest.channels.get('chat:lobby').publish('greeting', 'hello');
    assert.equal(cloud.tokens[0]['x-ably-clientId'], 'tom');
  });

  test('by a callback', async () => {
    const authCallback = async (params, callback) => {
      const response = await fetch(`${signer.url}/v1/ably/token?${new URLSearchParams(params)}`, { headers: bearer('tom') });
      if (response.ok) return callback(null, await response.text());
      const { message, code, statusCode } = (await response.json()).error;
      return callback(new ErrorInfo(message, code, statusCode), null);
    };
    const client = realtime({ authUrl: undefined, authCallback });
    await reaches(client, 'connected');
    const banned = realtime({ authUrl: undefined, authCallback, clientId: 'ann' });
    assert.match((await reaches(banned, 'failed')).cause.message, /^login is not allowed/);
  });
});

describe('refreshing', () => {
  test('goes on where the app may', async () => {
    const client = realtime({ authHeaders: bearer('tom') });
    await reaches(client, 'connected');
    const updated = once(client.connection, 'update');
    cloud.reauthenticate();
    await updated;
    assert.equal(cloud.tokens.length, 2);

    const again = client.connection.once('connected');
    cloud.expire();
    await again;
    assert.equal(cloud.tokens.length, 3);
  });

  test('ends a connection in FAILED, with the reason, once the client is banned', async (context) => {
    const [asked, ended] = [realtime({ authHeaders: bearer('tom') }), realtime({ authHeaders: bearer('tom') })];
    await Promise.all([reaches(asked, 'connected'), reaches(ended, 'connected')]);
    await signer.ban('tom', 'spam');
    context.after(() => signer.pardon());

    // Until then it stays as it is.
    await asked.channels.get('chat:lobby').publish('greeting', 'said by one who is banned');
    cloud.reauthenticate();
    for (const client of [asked, ended]) {
      const reason = await reaches(client, 'failed');
      assert.deepEqual([reason.statusCode, reason.code], [403, 80019]);
      const { message, code, statusCode } = reason.cause;
      assert.deepEqual({ message, code, statusCode }, { message: 'tom is banned: spam', code: 40300, statusCode: 403 });
    }
    await assert.rejects(asked.channels.get('chat:lobby').publish('greeting', 'once more'), { code: 80019, statusCode: 403 });
  });

  test('ends so as well when the token has run out', async (context) => {
    const client = realtime({ authHeaders: bearer('tom') });
    await reaches(client, 'connected');
    await signer.ban('tom', 'spam');
    context.after(() => signer.pardon());
    cloud.expire();
    assert.equal((await reaches(client, 'failed')).cause.message, 'tom is banned: spam');
  });
});

describe('a refusal', () => {
  test('of what can’t succeed is FAILED', async () => {
    for (const [options, says] of [
      [{ clientId: 'mary' }, /^login is not allowed/],
      [{ defaultTokenParams: { capability: { 'secret:x': ['publish'] } } }, /^publish is not allowed in secret:x/],
      [{ defaultTokenParams: { capability: { 'chat*': ['publish'] } } }, /`\*`/],
      [{ defaultTokenParams: { ttl: -1 } }, /^ttl must be a number of milliseconds/],
      [{ authUrl: `${signer.url}/v1/ably/tokens` }, /^The app ably has no such operation/],
    ]) {
      const reason = await reaches(realtime({ authHeaders: bearer('tom'), ...options }), 'failed');
      assert.deepEqual([reason.code, reason.cause.code, reason.cause.statusCode], [80019, 40300, 403]);
      assert.match(reason.cause.message, says);
    }
  });

  test('of a caller who is not known is DISCONNECTED, and asked again', async () => {
    const client = realtime({ authHeaders: { authorization: 'Bearer x.y.z' } });
    const reason = await reaches(client, 'disconnected');
    assert.deepEqual([reason.code, reason.cause.code, reason.cause.statusCode], [80019, 40100, 401]);
    // Who gets a credential meanwhile gets in.
    client.auth.authOptions.authHeaders = bearer('tom');
    await reaches(client, 'connected');
  });

  test('because something is down is DISCONNECTED, and asked again until it is up', async (context) => {
    context.after(() => (backend.down = false));
    backend.down = true;
    const client = realtime({ authHeaders: { cookie: 'sid=fake-session-of-tom' } });
    const reason = await reaches(client, 'disconnected');
    assert.deepEqual([reason.code, reason.cause.code, reason.cause.statusCode], [80019, 50003, 503]);
    backend.down = false;
    await reaches(client, 'connected');
    assert.equal(client.auth.clientId, 'tom');
  });
});
