// The examples, against the demonstration: as they come, and with a cloud on loopback.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import * as AblySdk from 'ably';

import { Ably } from './support/ably.js';
import { verifyJwt } from './support/crypto.js';
import { LeanCloud } from './support/leancloud.js';
import { Signer } from './support/signer.js';
import { TalkJs } from './support/talkjs.js';

const { Realtime } = AblySdk.default ?? AblySdk;

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const secret = (name) => readFileSync(path(`../../deploy/demo/${name}.secret`), 'utf8').trim();
/** Where the examples find the packages that are installed here. */
const FOLDER = path('node_modules/.examples');

let signer, apps;

before(async () => {
  cpSync(path('../../examples'), FOLDER, { recursive: true, filter: (name) => !name.endsWith('/node_modules') || name === FOLDER });
  signer = await Signer.demonstration();
  const [keyName, ablySecret] = secret('ably').split(':');
  apps = {
    leancloud: { appId: 'demonstration-leancloud-app', masterKey: secret('leancloud') },
    talkjs: { appId: 'demonstration-talkjs-app', secretKey: secret('talkjs') },
    ably: { keyName, secret: ablySecret },
  };
});
after(async () => {
  await signer.stop();
  rmSync(FOLDER, { recursive: true });
});

const token = (user, ...more) => signer.command('token', '--sub', user, ...more);
const environment = (user, cloud) => ({ PATH: process.env.PATH, SIGNER: signer.url, TOKEN: token(user), CLIENT: user, ...(cloud && { CLOUD: JSON.stringify(cloud) }) });

/** What an example prints. */
const run = async (example, user, cloud) => (await promisify(execFile)('node', [`${FOLDER}/${example}.js`], { env: environment(user, cloud) })).stdout;

describe('leancloud-realtime', () => {
  test('shows signatures and a refusal', async () => {
    const said = await run('leancloud-realtime/index', 'tom');
    assert.match(said, /^tom goes online: s=[0-9a-f]{40} t=\d{13} n=\w+$/m);
    assert.match(said, /^tom joins \w+: s=/m);
    assert.match(said, /^tom invites zoe to \w+: refused \(403\): invite is not allowed in \w+: Only managers and owners invite/m);
  });

  test('chats', async (context) => {
    const cloud = await LeanCloud.start(apps.leancloud);
    context.after(() => cloud.stop());
    const options = { appId: apps.leancloud.appId, appKey: 'fake', server: '127.0.0.1:9', RTMServers: cloud.url };
    assert.match(await run('leancloud-realtime/index', 'tom', options), /^tom is online\nsaid hello in \w+\n$/);
    assert.deepEqual(cloud.accepted, ['tom:', 'tom:carol:tom']);
  });
});

describe('ably', () => {
  test('shows its token', async () => {
    const said = await run('ably/index', 'tom');
    const { claims } = verifyJwt(apps.ably.secret, said.match(/^eyJ\S+$/m)[0]);
    assert.equal(claims['x-ably-clientId'], 'tom');
    assert.match(said, /client tom, until .* may\n\{\n {2}'chat:\*': \[ 'history', 'presence', 'publish', 'subscribe' \],/);
  });

  test('chats', async (context) => {
    const cloud = await Ably.start(apps.ably);
    context.after(() => cloud.stop());
    assert.match(await run('ably/index', 'tom', cloud.options), /^tom said hello in chat:lobby$/m);
  });

  test('says why it is refused', async (context) => {
    const cloud = await Ably.start(apps.ably);
    context.after(() => cloud.stop());
    const refused = run('ably/index', 'tom', { ...cloud.options, clientId: 'mary' });
    await assert.rejects(refused, ({ code, stdout }) => code === 1 && /^refused: login is not allowed/.test(stdout));
  });

  test('the receiver believes authors and moderators', async () => {
    assert.deepEqual((await run('ably/receiver', 'tom')).split('\n').slice(0, 5), [
      "message.create by tom: [ 'tom: helo' ]",
      "message.update by tom: [ 'tom: hello' ]",
      "message.update by mallory, not accepted: [ 'tom: hello' ]",
      "message.create by mallory: [ 'tom: hello', 'mallory: buy this' ]",
      "message.delete by alice: [ 'tom: hello' ]",
    ]);
  });

  test('the receiver is not deceived by a capability that is too wide', async (context) => {
    const cloud = await Ably.start(apps.ably);
    const receiver = spawn('node', [`${FOLDER}/ably/receiver.js`], { env: environment('tom', cloud.options) });
    const clients = [];
    context.after(async () => {
      receiver.kill();
      clients.forEach((client) => client.close());
      await cloud.stop();
    });
    const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
    const next = async () => (await lines.next()).value;
    assert.equal(await next(), 'listening in chat:lobby');

    const join = async (user, ...more) => {
      const authHeaders = { authorization: `Bearer ${token(user, ...more)}` };
      const capability = { 'chat:lobby': ['publish', 'subscribe', 'message-update-own', 'message-update-any', 'message-delete-any'] };
      const client = new Realtime({ ...cloud.options, logLevel: 0, authUrl: `${signer.url}/v1/ably/token`, authHeaders, defaultTokenParams: { capability } });
      clients.push(client);
      await client.connection.whenState('connected');
      return client.channels.get('chat:lobby');
    };
    const [ann, eve, mod] = [await join('ann'), await join('eve'), await join('mod', '--roles', 'moderator')];
    const { serials: [serial] } = await ann.publish('say', 'helo');
    assert.equal(await next(), "message.create by ann: [ 'ann: helo' ]");
    await ann.updateMessage({ serial, data: 'hello' });
    assert.equal(await next(), "message.update by ann: [ 'ann: hello' ]");

    // Who may not, has no capability for it from chat-signer,
    await assert.rejects(eve.updateMessage({ serial, data: 'I am a fool' }), { code: 40160 });
    // and one that was got elsewhere brings no user claim.
    for (const socket of cloud.sockets) {
      if (socket.claims['x-ably-clientId'] === 'eve') socket.claims['x-ably-capability'] = '{"*":["*"]}';
    }
    await eve.updateMessage({ serial, data: 'I am a fool' });
    assert.equal(await next(), "message.update by eve, not accepted: [ 'ann: hello' ]");

    await mod.deleteMessage({ serial });
    assert.equal(await next(), 'message.delete by mod: []');
  });
});

describe('talkjs', () => {
  test('shows its token', async () => {
    const said = await run('talkjs/index', 'tom');
    assert.equal(verifyJwt(apps.talkjs.secretKey, said.match(/^eyJ\S+$/m)[0]).claims.sub, 'tom');
    assert.match(said, /user tom of the app demonstration-talkjs-app/);
  });

  test('opens a session', async (context) => {
    const cloud = await TalkJs.start(apps.talkjs);
    context.after(() => cloud.stop());
    assert.match(await run('talkjs/index', 'tom', { appId: apps.talkjs.appId, host: cloud.host }), /^tom is known at TalkJS$/m);
    assert.deepEqual(cloud.requests, ['tom: POST /users/tom']);
  });
});

test('without a token each says what to do', async () => {
  for (const example of ['leancloud-realtime/index', 'ably/index', 'ably/receiver', 'talkjs/index']) {
    const child = spawn('node', [`${FOLDER}/${example}.js`], { env: { PATH: process.env.PATH } });
    const said = child.stderr.toArray();
    const [code] = await once(child, 'exit');
    assert.equal(code, 1);
    assert.match(Buffer.concat(await said).toString(), /set TOKEN to the token of the caller/);
  }
});
