// @talkjs/core with a `tokenFetcher` and with `onNeedToken`.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, mock, test } from 'node:test';

import { getTalkSession, registerPolyfills } from '@talkjs/core';

import { Backend, Signer, TALKJS, callerToken } from './support/signer.js';
import { QuietWebSocket, TalkJs } from './support/talkjs.js';

registerPolyfills({ WebSocket: QuietWebSocket });

let backend, signer, cloud, said;

before(async () => {
  backend = await Backend.start({ 'fake-session-of-carol': 'carol' });
  [signer, cloud] = await Promise.all([Signer.start(backend), TalkJs.start()]);
});
after(() => Promise.all([signer.stop(), backend.stop(), cloud.stop()]));
beforeEach(() => {
  cloud.forget();
  said = [];
  for (const level of ['error', 'warn']) mock.method(console, level, (...words) => said.push(words.join(' ')));
});
afterEach(() => mock.restoreAll());

/** From now on to the end of the test this user is banned. */
async function ban(context, user) {
  await signer.ban(user, 'spam');
  context.after(() => signer.pardon());
}

/** Something that only an authenticated session can do. */
const use = (session) => session.currentUser.createIfNotExists({ name: 'Tom' });

const session = (userId, more) => getTalkSession({ appId: TALKJS.appId, userId, host: cloud.host, forceCreateNew: true, ...more });

/** The fetcher of docs/sdks.md: it waits while it is worth waiting, and throws what is final, which ends the session. */
const fetcher = (subject, headers = { authorization: `Bearer ${callerToken(subject)}` }) => async () => {
  for (;;) {
    const response = await fetch(`${signer.url}/v1/talkjs/token`, { method: 'POST', headers: { ...headers, accept: 'text/plain' } });
    if (response.ok) return response.text();
    const wait = response.headers.get('retry-after');
    if (wait === null) throw new Error((await response.json()).detail);
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
};

/** The reason for which a session ends. */
const end = (session) => new Promise((resolve) => session.onError(resolve));

describe('tokenFetcher', () => {
  test('gets a token as text, or out of JSON', async () => {
    const asJson = async () => {
      const response = await fetch(`${signer.url}/v1/talkjs/token`, { headers: { authorization: `Bearer ${callerToken('tom')}` } });
      return (await response.json()).token;
    };
    for (const tokenFetcher of [fetcher('tom'), asJson]) {
      await use(session('tom', { tokenFetcher }));
    }
    assert.deepEqual(cloud.requests, Array(2).fill('tom: POST /users/tom'));
    assert.deepEqual(cloud.tokens.map(({ sub, iss, tokenType }) => [sub, iss, tokenType]), Array(2).fill(['tom', TALKJS.appId, 'user']));
  });

  test('is not called again at once', async () => {
    let calls = 0;
    const fetch = fetcher('tom');
    const tom = session('tom', { tokenFetcher: () => (calls++, fetch()) });
    await use(tom);
    await use(tom);
    assert.deepEqual([calls, cloud.tokens.length], [1, 1]);
    assert.ok(cloud.tokens[0].exp - Date.now() / 1000 > 600);
    assert.deepEqual(said, []);
  });

  test('is called when the session has expired, and the session goes on', async () => {
    const tom = session('tom', { tokenFetcher: fetcher('tom') });
    await use(tom);
    const renewed = new Promise((resolve) => (cloud.tokens.push = (claims) => resolve(claims)));
    cloud.expire();
    assert.equal((await renewed).sub, 'tom');
    await use(tom);
  });

  test('that throws ends the session with the reason: a ban in the middle of it', async (context) => {
    const tom = session('tom', { tokenFetcher: fetcher('tom') });
    await use(tom);
    await ban(context, 'tom');
    // Until the session expires it goes on.
    await use(tom);
    const ended = end(tom);
    cloud.expire();
    assert.match((await ended).message, /^Could not authenticate, cannot recover automatically: Error: tom is banned: spam$/);
    await assert.rejects(use(tom), /session was destroyed/);
  });

  test('ends it as well for who may not be that user', async () => {
    const mary = session('mary', { tokenFetcher: async () => {
      const response = await fetch(`${signer.url}/v1/talkjs/token?user_id=mary`, { headers: { authorization: `Bearer ${callerToken('tom')}` } });
      if (!response.ok) throw new Error((await response.json()).detail);
      return response.text();
    } });
    use(mary).catch(() => {});
    assert.match((await end(mary)).message, /login is not allowed/);
  });

  test('that waits while something is down keeps the session', async (context) => {
    context.after(() => (backend.down = false));
    backend.down = true;
    const asked = new Promise((resolve) => (backend.asked.push = resolve));
    const carol = session('carol', { tokenFetcher: fetcher('carol', { cookie: 'sid=fake-session-of-carol' }) });
    const used = use(carol);
    await asked;
    backend.down = false;
    await used;
    assert.equal(cloud.tokens[0].sub, 'carol');
  });
});

describe('onNeedToken', () => {
  test('sets a token whenever one is needed', async () => {
    const tom = session('tom');
    tom.onNeedToken = async () => tom.setToken(await fetcher('tom')());
    await use(tom);
    const renewed = new Promise((resolve) => (cloud.tokens.push = resolve));
    cloud.expire();
    assert.equal((await renewed).sub, 'tom');
  });

  test('that sets none leaves the session waiting: the app has to say so itself', async (context) => {
    const tom = session('tom');
    let tell;
    const told = new Promise((resolve) => (tell = resolve));
    tom.onNeedToken = () => fetcher('tom')().then((token) => tom.setToken(token), tell);
    await use(tom);
    await ban(context, 'tom');
    cloud.expire();
    assert.equal((await told).message, 'tom is banned: spam');
    // Others get theirs in the meantime.
    const others = use(session('mary', { tokenFetcher: fetcher('mary') })).then(() => 'waiting');
    const answer = await Promise.race([use(tom).then(() => 'an answer', () => 'an error'), others]);
    assert.equal(answer, 'waiting');
  });
});
