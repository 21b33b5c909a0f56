// pusher-js with the drop-in paths.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import PusherClient from 'pusher-js';

import { Pusher } from './support/pusher.js';
import { PUSHER, Signer, callerToken } from './support/signer.js';

let signer, cloud;

before(async () => {
  [signer, cloud] = await Promise.all([Signer.start(), Pusher.start()]);
});
after(() => Promise.all([signer.stop(), cloud.stop()]));

/** A client of the stand-in, gone with the test. */
function client(context, subject) {
  const headers = { authorization: `Bearer ${callerToken(subject)}` };
  const made = new PusherClient(PUSHER.key, {
    cluster: '',
    wsHost: '127.0.0.1',
    wsPort: cloud.port,
    forceTLS: false,
    enabledTransports: ['ws'],
    enableStats: false,
    channelAuthorization: { endpoint: `${signer.url}/pusher/auth`, transport: 'ajax', headers },
    userAuthentication: { endpoint: `${signer.url}/pusher/user-auth`, transport: 'ajax', headers },
  });
  context.after(() => made.disconnect());
  return made;
}

/** What the channel says first: that it is subscribed, or why not. */
const outcome = (channel) =>
  new Promise((resolve) => {
    channel.bind('pusher:subscription_succeeded', () => resolve('subscribed'));
    channel.bind('pusher:subscription_error', ({ status }) => resolve(status));
  });

test('subscribes to the channels that the policy allows', async (context) => {
  const pusher = client(context, 'tom');
  const names = ['private-chat.42', 'presence-chat.42', 'private-cache-chat.42', 'private-secret', 'private-encrypted-chat.42', 'private-a:b'];
  const outcomes = await Promise.all(names.map((name) => outcome(pusher.subscribe(name))));
  assert.deepEqual(outcomes, ['subscribed', 'subscribed', 'subscribed', 403, 400, 400]);
  assert.equal(pusher.channel('presence-chat.42').members.me.id, 'tom');
});

test('signs in, and a banned user does not', async (context) => {
  const pusher = client(context, 'tom');
  pusher.signin();
  await pusher.user.signinDonePromise;
  assert.equal(pusher.user.user_data.id, 'tom');
  await signer.ban('eve', 'spam');
  context.after(() => signer.pardon());
  assert.equal(await outcome(client(context, 'eve').subscribe('private-chat.42')), 403);
});
