// The package in clients/js, alone and with the SDKs.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, describe, mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { getTalkSession, registerPolyfills } from '@talkjs/core';
import * as AblySdk from 'ably';
import * as client from 'chat-signer-client';
import leancloud4 from 'leancloud-realtime';
import leancloud5 from 'leancloud-realtime-5';
import { minify } from 'terser';

import { generate } from '../../clients/js/build.js';
import { Ably, reaches } from './support/ably.js';
import { LeanCloud } from './support/leancloud.js';
import { Backend, LEANCLOUD, ROOM, Signer, TALKJS, callerToken } from './support/signer.js';
import { QuietWebSocket, TalkJs } from './support/talkjs.js';

const { BannedError, DeniedError, RetryLaterError, SignerError, ablyAuthCallback, leancloudSignatureFactory, sign, talkjsTokenFetcher } = client;
const { Realtime } = AblySdk.default ?? AblySdk;
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

describe('the package', () => {
  test('has less than 5 kB when it is minified, and no dependencies', async () => {
    const { code } = await minify(readFileSync(path('../../clients/js/index.js'), 'utf8'), { module: true });
    assert.ok(code.length < 5000, `${code.length} bytes`);
    const { dependencies, peerDependencies } = JSON.parse(readFileSync(path('../../clients/js/package.json'), 'utf8'));
    assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
  });

  test('has the same content as CommonJS', () => {
    for (const [name, text] of Object.entries(generate())) {
      assert.equal(readFileSync(path(`../../clients/js/${name}`), 'utf8'), text, `run \`npm run build\` in clients/js, which writes ${name}`);
    }
    assert.deepEqual(Object.keys(createRequire(import.meta.url)('chat-signer-client')).sort(), Object.keys(client).sort());
  });

  test('has types that fit the SDKs', async () => {
    for (const module of [['--module', 'nodenext'], ['--module', 'esnext', '--moduleResolution', 'bundler']]) {
      const compiled = promisify(execFile)('node', [path('node_modules/typescript/bin/tsc'), '--project', path('support'), ...module]);
      await compiled.catch(({ stdout }) => assert.fail(stdout));
    }
  });
});

describe('a request', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'] }));
  afterEach(() => mock.timers.reset());

  /** A `fetch` that gives these answers in turn, the last one again and again. It records the time of each request. */
  function answers(...all) {
    const fetch = async (url, init) => {
      fetch.requests.push({ at: Date.now(), url, ...init });
      const answer = all.length > 1 ? all.shift() : all[0];
      if (answer instanceof Error) throw answer;
      return answer.clone();
    };
    fetch.requests = [];
    return fetch;
  }

  const problem = (status, members, headers) =>
    new Response(JSON.stringify({ status, ...members }), { status, headers: { 'content-type': 'application/problem+json', ...headers } });
  const token = () => new Response('{"token":"fake"}', { headers: { 'content-type': 'application/json' } });
  const busy = (seconds) => problem(429, { code: 'rate_limited', detail: 'Too many requests.' }, { 'retry-after': seconds });

  /** Lets time pass until the promise is settled. */
  async function settle(promise) {
    let settled = false;
    promise.then(() => (settled = true), () => (settled = true));
    while (!settled) {
      await setImmediate();
      mock.timers.tick(100);
    }
    return promise;
  }

  const ask = (fetch, options) => settle(sign({ url: 'https://signer.example.com/', app: 'chat', fetch, ...options }, 'token', { a: 1 }));

  test('has a token, or asks the browser for cookies', async () => {
    let calls = 0;
    const fetch = answers(busy(1), token());
    assert.deepEqual(await ask(fetch, { token: async () => `fake-${++calls}`, headers: { 'x-more': 'yes' }, params: { b: 2 } }), { token: 'fake' });
    const [first, second] = fetch.requests;
    assert.deepEqual([first.url, first.method, first.body], ['https://signer.example.com/v1/chat/token', 'POST', '{"a":1,"b":2}']);
    assert.deepEqual([first.headers.authorization, second.headers.authorization], ['Bearer fake-1', 'Bearer fake-2']);
    assert.deepEqual([first.headers['x-more'], first.credentials], ['yes', 'same-origin']);

    const without = answers(token());
    await ask(without);
    assert.deepEqual([without.requests[0].headers.authorization, without.requests[0].credentials], [undefined, 'include']);
  });

  test('is repeated after the time that chat-signer names, and not before', async () => {
    const fetch = answers(busy(7), problem(503, { code: 'overloaded' }, { 'retry-after': 2 }), token());
    await ask(fetch);
    const [first, second, third] = fetch.requests.map(({ at }) => at);
    assert.ok(second - first >= 7000 && third - second >= 2000, `${first}, ${second}, ${third}`);
  });

  test('is repeated after a lost connection and an error of a proxy', async () => {
    const fetch = answers(new TypeError('fetch failed'), new Response('<h1>Bad Gateway', { status: 502 }), token());
    assert.deepEqual(await ask(fetch), { token: 'fake' });
    assert.equal(fetch.requests.length, 3);
  });

  test('ends when the time is over', async () => {
    const errors = [];
    for (const [options, requests] of [[{ retryFor: 0 }, 1], [{ retryFor: 5000 }, 1], [{}, 4]]) {
      const fetch = answers(busy(8));
      await assert.rejects(ask(fetch, { ...options, onError: (error) => errors.push(error) }), (error) => {
        assert.ok(error instanceof RetryLaterError && error instanceof SignerError);
        assert.deepEqual([error.name, error.code, error.status, error.retryAfter], ['RetryLaterError', 'rate_limited', 429, 8]);
        return true;
      });
      assert.ok(fetch.requests.length <= requests, `${fetch.requests.length}`);
    }
    assert.equal(errors.length, 3);
    const unreachable = answers(new TypeError('fetch failed'));
    await assert.rejects(ask(unreachable), { name: 'RetryLaterError', code: 'unreachable', status: 0, message: /signer\.example\.com\/v1\/chat\/token cannot be reached: fetch failed/ });
    assert.ok(unreachable.requests.length > 3 && unreachable.requests.length < 30, `${unreachable.requests.length}`);
  });

  test('is not repeated after a final refusal', async () => {
    const until = '2099-01-01T00:00:00.000Z';
    for (const [answer, expected] of [
      [problem(403, { code: 'banned', detail: 'tom is banned: spam', reason: 'spam', ban: { user: 'tom', conversation: '*', until } }),
        { name: 'BannedError', message: 'tom is banned: spam', user: 'tom', conversation: '*', until: new Date(until), reason: 'spam' }],
      [problem(403, { code: 'denied', detail: 'kick is not allowed', rule: 'managers', reason: 'Only managers.' }, { 'x-request-id': 'id-1' }),
        { name: 'DeniedError', rule: 'managers', reason: 'Only managers.', requestId: 'id-1' }],
      [problem(401, { code: 'unauthenticated', detail: 'no' }), { name: 'SignerError', code: 'unauthenticated', status: 401 }],
      [problem(500, { code: 'internal', detail: 'no' }), { name: 'SignerError', code: 'internal', status: 500 }],
      [new Response('<h1>Not found', { status: 404 }), { name: 'SignerError', code: 'unexpected_answer', status: 404 }],
      [new Response('<h1>Log in', { headers: { 'content-type': 'application/json' } }), { name: 'SignerError', code: 'unexpected_answer', status: 200 }],
      [new Response('<h1>Log in', { headers: { 'content-type': 'text/html' } }), { name: 'SignerError', code: 'unexpected_answer', status: 200 }],
      [problem(403, { code: 'banned', detail: 'tom is banned', ban: null }), { name: 'BannedError', user: undefined }],
    ]) {
      const fetch = answers(answer);
      await assert.rejects(ask(fetch), expected);
      assert.equal(fetch.requests.length, 1);
    }
  });

  test('is a token or JSON by the media type of the answer, whatever its parameters are', async () => {
    const answer = (type, body) => ask(answers(new Response(body, { headers: { 'content-type': type } })));
    assert.deepEqual(await answer('Application/JSON; charset=utf-8', '{"token":"fake"}'), { token: 'fake' });
    assert.equal(await answer('application/jwt', 'a.b.c'), 'a.b.c');
  });

  test('passes on the error of the function that gets the token', async () => {
    const fetch = answers(token());
    await assert.rejects(ask(fetch, { token: () => { throw new Error('not logged in'); } }), { message: 'not logged in' });
    assert.equal(fetch.requests.length, 0);
  });

  test('needs an address that is complete outside a page', async () => {
    const fetch = answers(token());
    await assert.rejects(ask(fetch, { url: '/signer' }), { code: 'ERR_INVALID_URL' });
  });
});

describe('with the SDKs', () => {
  let backend, signer, errors, options;
  before(async () => {
    backend = await Backend.start({ 'fake-session-of-tom': 'tom' });
    signer = await Signer.start(backend);
  });
  after(() => Promise.all([signer.stop(), backend.stop()]));
  beforeEach(() => {
    errors = [];
    options = { url: signer.url, token: () => callerToken('tom'), onError: (error) => errors.push(error) };
  });

  /** Bans a user until 2099, until the end of the test. */
  async function ban(context, user) {
    await signer.moderate('bans', user, { reason: 'spam', until: '2099-01-01T00:00:00Z' });
    context.after(() => signer.moderate('bans/lift', user));
  }

  const isBan = (error) => {
    assert.ok(error instanceof BannedError);
    assert.deepEqual([error.user, error.conversation, error.reason, error.until.getFullYear(), error.status], ['tom', '*', 'spam', 2099, 403]);
    return true;
  };

  for (const [sdkVersion, sdk] of [[4, leancloud4], [5, leancloud5]]) {
    test(`leancloud-realtime ${sdkVersion} signs each operation, and throws typed errors`, async (context) => {
      const cloud = await LeanCloud.start();
      context.after(() => cloud.stop());
      const realtime = new sdk.Realtime({ ...LEANCLOUD, server: cloud.restUrl, RTMServers: cloud.url });
      const login = (user, more) => realtime.createIMClient(user, leancloudSignatureFactory({ ...options, token: callerToken(user), sdkVersion, ...more }));
      const room = (client) => client.parseConversation({ id: ROOM, members: [client.id], creator: 'alice', createdAt: new Date(), updatedAt: new Date() });

      const tom = await login('tom');
      await tom.createConversation({ members: ['carol'], unique: true });
      const conversation = await room(tom);
      await conversation.join();
      await conversation.quit();
      assert.deepEqual(cloud.accepted, ['tom:', 'tom:carol:tom', `tom:${ROOM}:tom:invite`, `tom:${ROOM}:tom:kick`]);
      const alice = await login('alice');
      const managed = await room(alice);
      await managed.add(['zoe']);
      await managed.remove(['tom']);
      await managed.blockMembers(['tom']);
      await managed.unblockMembers(['tom']);
      const words = ['zoe:invite', 'tom:kick', 'tom:conversation-block-clients', 'tom:conversation-unblock-clients'];
      assert.deepEqual(cloud.accepted.slice(5), words.map((word) => `alice:${ROOM}:${word}`));

      await assert.rejects(conversation.remove(['alice']), (error) => {
        assert.ok(error instanceof DeniedError);
        assert.deepEqual([error.rule, error.reason], ['managers', 'Only managers and owners add and remove members.']);
        return true;
      });
      await Promise.all([tom.close(), alice.close()]);
      await ban(context, 'tom');
      await assert.rejects(login('tom'), isBan);
      assert.equal(errors.length, 2);
    });
  }

  test('leancloud-realtime names the user of an AV.User', async () => {
    const { signatureFactory } = leancloudSignatureFactory(options);
    assert.equal((await signatureFactory({ id: 'tom' })).signature.length, 40);
    await assert.rejects(signatureFactory({ id: 'mary' }), DeniedError);
  });

  test('ably-js connects, renews its token, and stops at a ban', async (context) => {
    const cloud = await Ably.start();
    const realtime = new Realtime({ ...cloud.options, logLevel: 0, authCallback: ablyAuthCallback(options), defaultTokenParams: { ttl: 600_000, capability: { 'chat:lobby': ['publish', 'message-delete-any'] } } });
    context.after(async () => {
      realtime.close();
      await cloud.stop();
    });
    await reaches(realtime, 'connected');
    assert.deepEqual(JSON.parse(cloud.tokens[0]['x-ably-capability']), { 'chat:lobby': ['publish'] });
    assert.equal(cloud.tokens[0].exp - cloud.tokens[0].iat, 600);
    const updated = once(realtime.connection, 'update');
    cloud.reauthenticate();
    await updated;

    await ban(context, 'tom');
    cloud.reauthenticate();
    const reason = await reaches(realtime, 'failed');
    assert.deepEqual([reason.code, reason.statusCode, reason.cause.code, reason.cause.message], [80019, 403, 40300, 'tom is banned: spam']);
    isBan(errors[0]);
  });

  test('ably-js stops at each refusal that a retry cannot change, and tries again after others', async (context) => {
    const cloud = await Ably.start();
    context.after(() => cloud.stop());
    for (const [more, state, statusCode] of [
      [{ params: { clientId: 'mary' } }, 'failed', 403],
      [{ params: { capability: { 'chat*': ['publish'] } } }, 'failed', 403],
      [{ app: 'nothing' }, 'failed', 403],
      [{ token: 'x.y.z' }, 'disconnected', 401],
      [{ url: 'http://127.0.0.1:9', retryFor: 0 }, 'disconnected', 503],
    ]) {
      const realtime = new Realtime({ ...cloud.options, logLevel: 0, authCallback: ablyAuthCallback({ ...options, ...more }) });
      const reason = await reaches(realtime, state);
      assert.deepEqual([reason.cause.statusCode, errors.length], [statusCode, 1], reason.cause.message);
      errors = [];
      realtime.close();
    }
  });

  test('@talkjs/core keeps its session while chat-signer is not available, and ends it at a ban', async (context) => {
    registerPolyfills({ WebSocket: QuietWebSocket });
    const cloud = await TalkJs.start();
    context.after(() => cloud.stop());
    const headers = { cookie: 'sid=fake-session-of-tom' };
    const start = () => getTalkSession({ appId: TALKJS.appId, userId: 'tom', host: cloud.host, forceCreateNew: true, tokenFetcher: talkjsTokenFetcher({ ...options, token: undefined, headers }) });

    backend.down = true;
    const asked = new Promise((resolve) => (backend.asked.push = resolve));
    const used = start().currentUser.createIfNotExists({ name: 'Tom' });
    await asked;
    backend.down = false;
    await used;
    assert.deepEqual(cloud.tokens.map(({ sub }) => sub), ['tom']);

    await ban(context, 'tom');
    const session = start();
    const ended = new Promise((resolve) => session.onError(resolve));
    session.currentUser.createIfNotExists({ name: 'Tom' }).catch(() => {});
    assert.match((await ended).message, /cannot recover automatically: BannedError: tom is banned: spam$/);
    isBan(errors[0]);
  });
});
