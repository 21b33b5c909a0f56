// A page of another origin than the signer's: what it may ask, what it gets to read, and what one that isn't listed gets.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { verifyJwt } from '../sdk/support/crypto.js';
import { ABLY, Backend, Signer, callerToken } from '../sdk/support/signer.js';
import { eventually, launch, open } from './support/chromium.js';
import { Site } from './support/site.js';

const SESSION = 'fake-session-of-tom';

let browser, backend, listed, unlisted, signer, cookieless;
before(async () => {
  [browser, backend, listed, unlisted] = await Promise.all([launch(), Backend.start({ [SESSION]: 'tom' }), Site.start(), Site.start()]);
  const pages = [listed.origin];
  [signer, cookieless] = await Promise.all([Signer.start(backend, { pages }), Signer.start(backend, { pages, credentials: false })]);
});
after(async () => {
  await browser?.close();
  await Promise.all([backend, listed, unlisted, signer, cookieless].map((one) => one?.stop()));
});

/** What goes over the wire to the signer: the headers of each request, and each answer. */
let sent, answers;
let context, page;
beforeEach(async () => {
  ({ context, page } = await open(browser));
  const devtools = await context.newCDPSession(page);
  await devtools.send('Network.enable');
  [sent, answers] = [[], []];
  devtools.on('Network.requestWillBeSentExtraInfo', ({ headers }) => signer.url.endsWith(headers.Host) && sent.push(headers));
  page.on('response', (response) => response.url().startsWith(signer.url) && answers.push(response));
  backend.asked = [];
  backend.down = false;
});
afterEach(() => context.close());

/** Logs tom in with the app's own server, so that the browser has its cookie. */
const logIn = (site, attributes = '; SameSite=Lax') => page.goto(`${site.origin}/login?${new URLSearchParams({ sid: SESSION, attributes })}`);

/** What the page gets to see of an answer. */
function ask(path, { server = signer, ...init } = {}) {
  return page.evaluate(async ({ url, init }) => {
    try {
      const response = await fetch(url, { method: 'POST', ...init });
      return { status: response.status, type: response.type, headers: Object.fromEntries(response.headers), text: await response.text() };
    } catch (error) {
      return { error: `${error}` };
    }
  }, { url: `${server.url}${path}`, init });
}

const json = (subject, body = {}) => ({ headers: { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
const isPreflight = (headers) => 'Access-Control-Request-Method' in headers;
const withCookies = { credentials: 'include', headers: { 'content-type': 'application/json' }, body: '{}' };

describe('a listed page', () => {
  test('asks with a token, after a preflight that is asked once', async () => {
    await page.goto(listed.origin);
    for (const _ of [1, 2]) {
      const { text } = await ask('/v1/leancloud/login', json('tom'));
      assert.match(text, /^{"signature":"\w+","timestamp":\d+,"nonce":"\w+"}$/);
    }
    await eventually(() => assert.deepEqual(sent.map(isPreflight), [true, false, false]));
    assert.equal(sent[0]['Access-Control-Request-Headers'], 'authorization,content-type');
    assert.deepEqual(sent.map(({ authorization }) => Boolean(authorization)), [false, true, true]);
  });

  test('asks with the cookie of its own backend', async () => {
    await logIn(listed);
    const { status, text } = await ask('/v1/ably/token', withCookies);
    assert.equal(status, 200);
    assert.equal(verifyJwt(ABLY.secret, text).claims['x-ably-clientId'], 'tom');
    assert.equal(backend.asked.at(-1).headers.cookie, `sid=${SESSION}`);
  });

  test('gets nothing where the cookie stays at home', async () => {
    await logIn(listed);
    const { status } = await ask('/v1/ably/token', { ...withCookies, credentials: 'omit' });
    assert.equal(status, 401);
    assert.equal(backend.asked.length, 0);
  });

  test('reads the headers that are meant for it', async () => {
    await page.goto(listed.origin);
    const good = await ask('/v1/leancloud/login', json('tom'));
    assert.match(good.headers['x-request-id'], /^[\w.-]+$/);
    assert.equal(good.headers.date, undefined);
    const refused = await ask('/v1/ably/token', json('tom', { capability: { 'secret:x': ['publish'] } }));
    assert.equal(refused.headers['x-ably-errorcode'], '40300');
    assert.deepEqual(JSON.parse(refused.text).error, { message: 'publish is not allowed in secret:x', code: 40300, statusCode: 403 });
    await logIn(listed);
    backend.down = true;
    const unavailable = await ask('/v1/ably/token', withCookies);
    assert.deepEqual([unavailable.status, unavailable.headers['retry-after']], [503, '1']);
  });

  test('reads why not', async () => {
    await page.goto(listed.origin);
    const kick = { conv_id: '5f3c2a1b9e8d7c6b5a493827', members: ['alice'] };
    const refused = JSON.parse((await ask('/v1/leancloud/kick', json('tom', kick))).text);
    assert.deepEqual([refused.status, refused.code, refused.reason], [403, 'denied', 'Only managers and owners add and remove members.']);
    const wrong = JSON.parse((await ask('/v1/leancloud/kick', json('tom', { ...kick, conv: 1 }))).text);
    assert.deepEqual([wrong.status, wrong.code, wrong.field], [400, 'invalid_field', 'conv']);
    const nobody = JSON.parse((await ask('/v1/leancloud/login', { body: '' })).text);
    assert.deepEqual([nobody.status, nobody.code], [401, 'unauthenticated']);
    const nowhere = JSON.parse((await ask('/v1/nothing/login', json('tom'))).text);
    assert.deepEqual([nowhere.status, nowhere.code], [404, 'not_found']);
  });

  test('is named in every answer, and nobody is a wildcard', async () => {
    await logIn(listed);
    await ask('/v1/ably/token', withCookies);
    await ask('/v1/ably/token', { ...withCookies, body: '[' });
    await ask('/v1/nothing', withCookies);
    await eventually(() => assert.ok(answers.length >= 3));
    const allowed = await Promise.all(answers.map((answer) => answer.allHeaders()));
    for (const headers of allowed) {
      assert.equal(headers['access-control-allow-origin'], listed.origin);
      assert.equal(headers['access-control-allow-credentials'], 'true');
      assert.match(headers.vary, /origin/i);
      assert.ok(!Object.entries(headers).some(([name, value]) => name.startsWith('access-control') && value.includes('*')));
    }
  });

  test('does without cookies where those are not allowed', async () => {
    await logIn(listed);
    assert.deepEqual(await ask('/v1/ably/token', { server: cookieless, ...withCookies }), { error: 'TypeError: Failed to fetch' });
    assert.equal((await ask('/v1/ably/token', { server: cookieless, ...json('tom') })).status, 200);
  });
});

describe('a page that isn’t listed', () => {
  test('reads nothing, with a token or without', async () => {
    await logIn(unlisted);
    for (const init of [json('tom'), withCookies, { credentials: 'include' }, { credentials: 'include', method: 'GET' }]) {
      assert.deepEqual(await ask('/v1/ably/token', init), { error: 'TypeError: Failed to fetch' });
    }
  });

  test('is not even answered what it couldn’t read', async () => {
    await logIn(unlisted);
    const simple = { credentials: 'include', mode: 'no-cors', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'capability={"chat:*":["publish"]}' };
    assert.equal((await ask('/v1/ably/token', simple)).type, 'opaque');
    await eventually(() => assert.deepEqual(sent.map(isPreflight), [false]));
    assert.equal(sent[0].Cookie, `sid=${SESSION}`, 'the browser did send it');
    await eventually(() => assert.equal(answers[0]?.status(), 403));
    assert.equal(backend.asked.length, 0);
  });

  // A cookie without the attribute goes along with a form that is sent in its first two minutes, even from another site.
  for (const [how, attributes, method] of [['form', '', 'POST'], ['link', '; SameSite=Lax', 'GET']]) {
    test(`of another site gets nothing by a ${how}`, async () => {
      await logIn(unlisted, attributes);
      await page.goto(unlisted.elsewhere);
      const arrived = page.waitForURL(`${signer.url}/**`);
      await page.evaluate(({ url, method }) => {
        const form = document.body.appendChild(document.createElement('form'));
        Object.assign(form, { action: url, method });
        form.append(Object.assign(document.createElement('input'), { name: 'capability', value: '{"chat:*":["publish"]}' }));
        form.submit();
      }, { url: `${signer.url}/v1/ably/token`, method });
      await arrived;
      await eventually(() => assert.ok(answers.length > 0 && sent.length > 0));
      const [answer] = answers;
      assert.equal(sent[0].Cookie, `sid=${SESSION}`, 'the browser did send it');
      assert.equal(sent[0]['Sec-Fetch-Site'], 'cross-site');
      assert.equal(answer.status(), 403);
      const { error } = JSON.parse(await answer.text());
      assert.equal(error.code, 40300);
      assert.equal(backend.asked.length, 0);
    });
  }

  test('named like a listed one is another', async () => {
    await page.goto(listed.elsewhere);
    assert.deepEqual(await ask('/v1/leancloud/login', json('tom')), { error: 'TypeError: Failed to fetch' });
  });

  test('without an origin is none of the listed', async () => {
    await page.goto(listed.origin);
    const seen = await page.evaluate((url) => {
      const frame = document.createElement('iframe');
      frame.sandbox = 'allow-scripts';
      frame.srcdoc = `<script>fetch(${JSON.stringify(url)}, { method: 'POST', credentials: 'include' }).then(() => 'answered', () => 'refused').then((seen) => parent.postMessage([origin, seen], '*'))</script>`;
      document.body.append(frame);
      return new Promise((done) => addEventListener('message', ({ data }) => done(data)));
    }, `${signer.url}/v1/ably/token`);
    assert.deepEqual(seen, ['null', 'refused']);
  });
});
