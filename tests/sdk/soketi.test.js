// A real Soketi with pusher-js and laravel-echo, and with the drop-in paths.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import Echo from 'laravel-echo';
import PusherClient from 'pusher-js';

import { PUSHER, Signer, callerToken } from './support/signer.js';
import { Soketi, missing } from './support/soketi.js';

let signer, soketi;
before(async () => {
  if (missing) return;
  soketi = await Soketi.start();
  signer = await Signer.start(undefined, { soketi });
});
after(() => Promise.all([signer?.stop(), soketi?.stop()]));

const proven = (name, run) => test(name, { skip: missing }, run);

const server = () => ({ cluster: '', wsHost: '127.0.0.1', wsPort: soketi.port, forceTLS: false, enabledTransports: ['ws'], enableStats: false });
const headersOf = (subject) => ({ authorization: `Bearer ${callerToken(subject)}` });

/** A client of this user, gone with the test. */
function client(context, subject) {
  const headers = headersOf(subject);
  const made = new PusherClient(PUSHER.key, {
    ...server(),
    channelAuthorization: { endpoint: `${signer.url}/pusher/auth`, transport: 'ajax', headers },
    userAuthentication: { endpoint: `${signer.url}/pusher/user-auth`, transport: 'ajax', headers },
  });
  context.after(() => made.disconnect());
  return made;
}

/** The next event with this name. */
const next = (emitter, name) => new Promise((resolve) => { emitter.bind(name, function listener(data) { emitter.unbind(name, listener); resolve(data); }); });

/** Subscribes. Returns the channel, or the status of the refusal. */
async function subscribe(pusher, name) {
  const channel = pusher.subscribe(name);
  const refused = next(channel, 'pusher:subscription_error').then(({ status }) => status);
  return Promise.race([next(channel, 'pusher:subscription_succeeded').then(() => channel), refused]);
}

proven('members see each other, and talk by client events', async (context) => {
  const [tom, carol] = await Promise.all(['tom', 'carol'].map((user) => client(context, user)));
  const toms = await subscribe(tom, 'presence-chat.42');
  const joined = next(toms, 'pusher:member_added');
  const carols = await subscribe(carol, 'presence-chat.42');
  assert.equal((await joined).id, 'carol');
  assert.deepEqual([carols.members.me.id, Object.keys(carols.members.members).sort()], ['carol', ['carol', 'tom']]);
  const heard = next(carols, 'client-greeting');
  toms.trigger('client-greeting', { text: 'hello' });
  assert.deepEqual(await heard, { text: 'hello' });
});

proven('subscribes to what the policy allows, and to nothing else', async (context) => {
  const tom = client(context, 'tom');
  assert.equal((await subscribe(tom, 'private-chat.42')).subscribed, true);
  assert.equal((await subscribe(tom, 'private-cache-chat.42')).subscribed, true);
  assert.equal(await subscribe(tom, 'private-secret'), 403);
  assert.equal(await subscribe(tom, 'presence-secret'), 403);
});

proven('reads encrypted messages', async (context) => {
  const channel = await subscribe(client(context, 'tom'), 'private-encrypted-chat.42');
  const heard = next(channel, 'news');
  await soketi.backend.trigger('private-encrypted-chat.42', 'news', { text: 'secret' });
  assert.deepEqual(await heard, { text: 'secret' });
});

proven('signs in, and hears what is for the user', async (context) => {
  const tom = client(context, 'tom');
  tom.signin();
  await tom.user.signinDonePromise;
  assert.equal(tom.user.user_data.id, 'tom');
  const heard = next(tom.user, 'news');
  await soketi.backend.sendToUser('tom', 'news', { text: 'for tom' });
  assert.deepEqual(await heard, { text: 'for tom' });
});

proven('a ban ends the connection, and the next one gets nothing', async (context) => {
  const eve = client(context, 'eve');
  eve.signin();
  await eve.user.signinDonePromise;
  await subscribe(eve, 'private-chat.42');
  const [error, ended] = [next(eve.connection, 'error'), next(eve.connection, 'disconnected')];
  await signer.moderate('bans', 'eve', { reason: 'spam' });
  assert.equal((await error).data.code, 4009);
  await ended;
  const again = client(context, 'eve');
  again.signin();
  assert.equal(await subscribe(again, 'private-chat.42'), 403);
  assert.equal(await subscribe(again, 'presence-chat.42'), 403);
  assert.equal(await again.user.signinDonePromise, undefined);
  assert.equal(again.user.user_data, null);
});

proven('laravel-echo works with its own paths', async (context) => {
  const echo = (subject) => {
    const made = new Echo({ broadcaster: 'pusher', Pusher: PusherClient, key: PUSHER.key, ...server(), authEndpoint: `${signer.url}/broadcasting/auth`, auth: { headers: headersOf(subject) } });
    context.after(() => made.disconnect());
    return made;
  };
  const [tom, carol] = [echo('tom'), echo('carol')];
  const here = (channel) => new Promise((resolve) => { channel.here((members) => resolve(members.map(({ id }) => id))); });
  const toms = tom.join('chat.42');
  await here(toms);
  const joined = new Promise((resolve) => { toms.joining(resolve); });
  const carols = carol.join('chat.42');
  await here(carols);
  await joined;
  const heard = new Promise((resolve) => { carols.listenForWhisper('typing', resolve); });
  toms.whisper('typing', { user: 'tom' });
  assert.deepEqual(await heard, { user: 'tom' });
  const secret = tom.encryptedPrivate('chat.42');
  await new Promise((resolve) => { secret.subscribed(resolve); });
  const news = new Promise((resolve) => { secret.listen('.news', resolve); });
  await soketi.backend.trigger('private-encrypted-chat.42', 'news', { text: 'secret' });
  assert.deepEqual(await news, { text: 'secret' });
  assert.equal(await new Promise((resolve) => { tom.private('other').error(({ status }) => resolve(status)); }), 403);
});
