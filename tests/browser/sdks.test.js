// The vendors' SDKs as browsers load them, in a page of another origin than the signer's, with the factories and fetchers of `examples`.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Ably } from '../sdk/support/ably.js';
import { LeanCloud } from '../sdk/support/leancloud.js';
import { Backend, LEANCLOUD, PUSHER, ROOM, Signer, TALKJS, callerToken } from '../sdk/support/signer.js';
import { Soketi, missing as noSoketi } from '../sdk/support/soketi.js';
import { TalkJs } from '../sdk/support/talkjs.js';
import { launch, open } from './support/chromium.js';
import { Site } from './support/site.js';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const FILES = {
  '/ably.js': at('../sdk/node_modules/ably/build/ably.min.js'),
  '/leancloud-4.js': at('../sdk/node_modules/leancloud-realtime/dist/realtime.browser.min.js'),
  '/leancloud-5.js': at('../sdk/node_modules/leancloud-realtime-5/dist/im-browser.min.js'),
  '/pusher.js': at('../sdk/node_modules/pusher-js/dist/web/pusher-with-encryption.min.js'),
  '/talkjs.js': at('../sdk/node_modules/@talkjs/core/dist/talkSession.js'),
  '/client.js': at('../../clients/js/index.js'),
};

/** `routed` is a site whose server passes requests to chat-signer on. */
let browser, backend, site, signer, routed, soketi;
before(async () => {
  [browser, backend, site] = await Promise.all([launch(), Backend.start({ 'fake-session-of-tom': 'tom' }), Site.start(FILES)]);
  soketi = noSoketi ? undefined : await Soketi.start();
  signer = await Signer.start(backend, { pages: [site.origin], soketi });
  routed = await Site.start(FILES, { '/v1/': signer.url });
});
after(async () => {
  await browser?.close();
  await Promise.all([backend, site, signer, routed, soketi].map((one) => one?.stop()));
});

/** A page of the app, with this SDK in it. The browser has the cookie of tom. */
async function app(script, origin = site.origin) {
  const opened = await open(browser);
  await opened.page.goto(`${origin}/login?sid=fake-session-of-tom`);
  if (script) await opened.page.addScriptTag({ url: script });
  return opened;
}

/** From now on to the end of the test this user is banned. */
async function ban(context, user) {
  await signer.ban(user, 'spam');
  context.after(() => signer.pardon());
}

describe('ably-js', () => {
  let cloud;
  before(async () => (cloud = await Ably.start()));
  after(() => cloud.stop());
  beforeEach(() => (cloud.tokens = []));

  /** Connects as this user, and stays. */
  async function connect(subject, more = {}) {
    const { context, page } = await app('/ably.js');
    const options = { authUrl: `${signer.url}/v1/ably/token`, authHeaders: { authorization: `Bearer ${callerToken(subject)}` }, disableConnectivityCheck: true, logLevel: 0 };
    const state = await page.evaluate((options) => {
      globalThis.client = new Ably.Realtime(options);
      return new Promise((resolve) => {
        client.connection.on('connected', () => resolve('connected'));
        // Where it goes on trying it isn't refused as it should be.
        for (const state of ['failed', 'disconnected']) {
          client.connection.on(state, ({ reason }) => resolve(`${state}: ${reason.cause?.message ?? reason.message}`));
        }
      });
    }, { ...cloud.options, ...options, ...more });
    return { context, page, state };
  }

  for (const authMethod of ['GET', 'POST']) {
    test(`connects with a token that it has got by ${authMethod}, and renews it`, async () => {
      const { context, page, state } = await connect('tom', { authMethod, defaultTokenParams: { capability: { 'chat:lobby': ['publish', 'subscribe', 'message-delete-any'] } } });
      assert.equal(state, 'connected');
      assert.equal(cloud.tokens[0]['x-ably-clientId'], 'tom');
      assert.deepEqual(JSON.parse(cloud.tokens[0]['x-ably-capability']), { 'chat:lobby': ['publish', 'subscribe'] });
      const heard = await page.evaluate(async () => {
        const channel = client.channels.get('chat:lobby');
        const heard = new Promise((resolve) => channel.subscribe(({ clientId, data }) => resolve([clientId, data])));
        await channel.publish('greeting', 'hello');
        return heard;
      });
      assert.deepEqual(heard, ['tom', 'hello']);
      // The page listens before the cloud asks.
      await page.evaluate(() => {
        globalThis.renewed = new Promise((resolve) => client.connection.once('update', () => resolve('renewed')));
      });
      cloud.reauthenticate();
      assert.equal(await page.evaluate(() => renewed), 'renewed');
      assert.equal(cloud.tokens.length, 2);
      await context.close();
    });
  }

  test('reads why it is refused, and stops', async (test) => {
    await ban(test, 'mallory');
    const { context, page, state } = await connect('mallory');
    assert.match(state, /^failed: .*mallory is banned: spam/);
    assert.equal(await page.evaluate(() => client.connection.state), 'failed');
    assert.equal(cloud.tokens.length, 0);
    await context.close();
  });

  /** Connects a page whose user has a cookie of the app. Returns the client's id, or the error. */
  async function connectWithCookie(test, { origin }, options) {
    const { context, page } = await app('/ably.js', origin);
    test.after(() => context.close());
    return page.evaluate(async ({ url, ...options }) => {
      const { ablyAuthCallback } = await import('/client.js');
      const errors = [];
      const callback = { authCallback: ablyAuthCallback({ url: url ?? '', onError: (error) => errors.push(error.code) }) };
      const client = new Ably.Realtime({ ...options, ...(options.authUrl ? {} : callback) });
      await Promise.race(['connected', 'disconnected', 'failed'].map((state) => client.connection.whenState(state)));
      return client.auth.clientId ?? errors[0] ?? client.connection.errorReason.cause.statusCode;
    }, { ...cloud.options, disableConnectivityCheck: true, logLevel: 0, ...options });
  }

  test('sends the cookie to another origin by the callback of the package', async (test) => {
    assert.equal(await connectWithCookie(test, site, { url: signer.url }), 'tom');
  });

  test('sends the cookie to its own origin, by the callback and by an authUrl', async (test) => {
    assert.equal(await connectWithCookie(test, routed, {}), 'tom');
    for (const authMethod of ['GET', 'POST']) {
      assert.equal(await connectWithCookie(test, routed, { authUrl: '/v1/ably/token', authMethod }), 'tom');
      assert.equal(await connectWithCookie(test, routed, { authUrl: `${routed.origin}/v1/ably/token`, authMethod }), 'tom');
    }
  });

  test('sends no cookie to an authUrl of another origin, or chat-signer ignores it', async (test) => {
    const authUrl = `${signer.url}/v1/ably/token`;
    for (const more of [{}, { authMethod: 'POST' }, { authHeaders: { authorization: 'Bearer x' } }, { authHeaders: { authorization: '' } }]) {
      assert.equal(await connectWithCookie(test, site, { authUrl, ...more }), 401, JSON.stringify(more));
    }
  });
});

for (const version of [4, 5]) {
  describe(`leancloud-realtime ${version}`, () => {
    let cloud;
    before(async () => (cloud = await LeanCloud.start()));
    after(() => cloud.stop());
    beforeEach(() => (cloud.accepted = []));

    /** Goes online as this user, with the factories of the package, and does something as that client. */
    async function online(subject, act, { origin = site.origin, url = signer.url, token = callerToken(subject) } = {}) {
      const { context, page } = await app(`/leancloud-${version}.js`, origin);
      const options = { ...LEANCLOUD, server: cloud.restUrl, RTMServers: cloud.url };
      const done = await page.evaluate(async ({ options, version, signer, subject, token, room, act }) => {
        const { leancloudSignatureFactory } = await import('/client.js');
        const factories = leancloudSignatureFactory({ url: signer, token: () => token, sdkVersion: version });
        try {
          const client = await new AV.Realtime(options).createIMClient(subject, factories);
          const data = { id: room, members: [subject], creator: 'alice', createdAt: new Date(), updatedAt: new Date() };
          const conversation = await client.parseConversation(data);
          await eval(act)(client, conversation);
          return 'done';
        } catch (error) {
          return `${error.code}: ${error.message}`;
        }
      }, { options, version, signer: url, subject, token, room: ROOM, act: `(${act})` });
      await context.close();
      return done;
    }

    test('logs in, creates, joins and leaves', async () => {
      const done = await online('tom', async (client, conversation) => {
        await client.createConversation({ members: ['carol'], unique: true });
        await conversation.join();
        await conversation.quit();
      });
      assert.equal(done, 'done');
      assert.deepEqual(cloud.accepted, ['tom:', 'tom:carol:tom', `tom:${ROOM}:tom:invite`, `tom:${ROOM}:tom:kick`]);
    });

    test('invites, kicks, blocks and unblocks', async () => {
      const done = await online('alice', async (client, conversation) => {
        await conversation.add(['zoe']);
        await conversation.remove(['tom']);
        await conversation.blockMembers(['tom']);
        await conversation.unblockMembers(['tom']);
      });
      assert.equal(done, 'done');
      const words = ['zoe:invite', 'tom:kick', 'tom:conversation-block-clients', 'tom:conversation-unblock-clients'];
      assert.deepEqual(cloud.accepted.slice(1), words.map((word) => `alice:${ROOM}:${word}`));
    });

    test('reads why it is refused', async () => {
      const done = await online('tom', (client, conversation) => conversation.remove(['alice']));
      assert.match(done, /Only managers and owners add and remove members/);
      assert.deepEqual(cloud.accepted, ['tom:']);
    });

    test('is the user of the cookie, at another origin and at its own', async () => {
      assert.equal(await online('tom', () => {}, { token: null }), 'done');
      assert.equal(await online('tom', () => {}, { token: null, origin: routed.origin, url: '' }), 'done');
      assert.deepEqual(cloud.accepted, ['tom:', 'tom:']);
    });

    test('reads of a ban', async (test) => {
      await ban(test, 'mallory');
      assert.match(await online('mallory', () => {}), /mallory is banned: spam/);
      assert.deepEqual(cloud.accepted, []);
    });
  });
}

describe('pusher-js', { skip: noSoketi }, () => {
  /** Connects to Soketi as this user, signs in, and subscribes to these channels. Returns the outcome of each. */
  async function subscribe(test, subject, names) {
    const opened = await app('/pusher.js');
    test.after(() => opened.context.close());
    const outcomes = await opened.page.evaluate(async ({ key, port, signer, token, names }) => {
      const ask = (path) => ({ endpoint: `${signer}/pusher/${path}`, transport: 'ajax', headers: { authorization: `Bearer ${token}` } });
      const server = { cluster: '', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'], enableStats: false };
      globalThis.pusher = new Pusher(key, { ...server, channelAuthorization: ask('auth'), userAuthentication: ask('user-auth') });
      pusher.signin();
      const outcome = (channel) => new Promise((resolve) => {
        channel.bind('pusher:subscription_succeeded', () => resolve('subscribed'));
        channel.bind('pusher:subscription_error', ({ status }) => resolve(status));
      });
      const outcomes = await Promise.all(names.map((name) => outcome(pusher.subscribe(name))));
      await pusher.user.signinDonePromise;
      return outcomes;
    }, { key: PUSHER.key, port: soketi.port, signer: signer.url, token: callerToken(subject), names });
    return { ...opened, outcomes };
  }

  test('subscribes, sees members, and reads client events and encrypted messages', async (test) => {
    const names = ['private-chat.42', 'presence-chat.42', 'private-encrypted-chat.42', 'private-secret'];
    const [tom, carol] = await Promise.all(['tom', 'carol'].map((user) => subscribe(test, user, names)));
    for (const { outcomes } of [tom, carol]) assert.deepEqual(outcomes, ['subscribed', 'subscribed', 'subscribed', 403]);
    assert.equal(await carol.page.evaluate(() => pusher.user.user_data.id), 'carol');
    const heard = await carol.page.evaluateHandle(() => {
      const next = (channel, event) => new Promise((resolve) => pusher.channel(channel).bind(event, resolve));
      return { said: next('private-chat.42', 'client-greeting'), secret: next('private-encrypted-chat.42', 'news') };
    });
    await tom.page.evaluate(() => pusher.channel('private-chat.42').trigger('client-greeting', 'hello'));
    await soketi.backend.trigger('private-encrypted-chat.42', 'news', 'secret');
    assert.deepEqual(await heard.evaluate(async ({ said, secret }) => [await said, await secret]), ['hello', 'secret']);
    assert.deepEqual(await tom.page.evaluate(() => Object.keys(pusher.channel('presence-chat.42').members.members).sort()), ['carol', 'tom']);
  });

  test('a ban ends the connection, and refuses the next one', async (test) => {
    const { page, outcomes } = await subscribe(test, 'mallory', ['private-chat.42']);
    assert.deepEqual(outcomes, ['subscribed']);
    await page.evaluate(() => { globalThis.ended = new Promise((resolve) => pusher.connection.bind('disconnected', () => resolve('ended'))); });
    await signer.moderate('bans', 'mallory', { reason: 'spam' });
    test.after(() => signer.moderate('bans/lift', 'mallory'));
    assert.equal(await page.evaluate(() => ended), 'ended');
    assert.deepEqual((await subscribe(test, 'mallory', ['private-chat.42', 'presence-chat.42'])).outcomes, [403, 403]);
  });
});

describe('@talkjs/core', () => {
  let cloud;
  before(async () => (cloud = await TalkJs.start()));
  after(() => cloud.stop());
  beforeEach(() => cloud.forget());

  /** Uses a session of this user with the fetcher of the package; tells what came of it. */
  const use = (page, subject, { url = signer.url, token = callerToken(subject) } = {}) => page.evaluate(async ({ appId, host, signer, subject, token }) => {
    const [{ getTalkSession }, { talkjsTokenFetcher }] = await Promise.all([import('/talkjs.js'), import('/client.js')]);
    const session = getTalkSession({ appId, host, userId: subject, tokenFetcher: talkjsTokenFetcher({ url: signer, token }), forceCreateNew: true });
    const ended = new Promise((resolve) => session.onError((error) => resolve(error.message)));
    const used = session.currentUser.createIfNotExists({ name: subject }).then(() => 'used', () => ended);
    return Promise.race([used, ended]);
  }, { appId: TALKJS.appId, host: cloud.host, signer: url, subject, token });

  test('opens a session with the token that it has fetched', async () => {
    const { context, page } = await app();
    assert.equal(await use(page, 'tom'), 'used');
    assert.deepEqual(cloud.tokens.map(({ sub, iss }) => [sub, iss]), [['tom', TALKJS.appId]]);
    await context.close();
  });

  test('is the user of the cookie, at another origin and at its own', async () => {
    for (const [{ origin }, url] of [[site, signer.url], [routed, '']]) {
      const { context, page } = await app(undefined, origin);
      assert.equal(await use(page, 'tom', { url, token: null }), 'used');
      await context.close();
    }
  });

  test('reads of a ban', async (test) => {
    await ban(test, 'mallory');
    const { context, page } = await app();
    assert.match(await use(page, 'mallory'), /mallory is banned: spam/);
    assert.deepEqual(cloud.tokens, []);
    await context.close();
  });
});
