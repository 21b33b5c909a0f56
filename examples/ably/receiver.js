// Shows the messages of a channel, and accepts changes by other users only if their user claim allows it. ../README.md explains how to run
// it. At Ably, the channel needs the rule "Message annotations, updates, deletes, and appends".

import Ably from 'ably';
import { ablyAuthCallback } from 'chat-signer-client';

import { Messages } from './messages.js';

const { SIGNER = 'http://127.0.0.1:7480', TOKEN, CLOUD, CHANNEL = 'chat:lobby' } = process.env;
if (!TOKEN) throw new Error('set TOKEN to the token of the caller: TOKEN=$(cargo run -qr -- token --sub tom)');

const messages = new Messages();
await (CLOUD ? listen(JSON.parse(CLOUD)) : rehearse());

/** Receives messages of an app at Ably. */
async function listen(cloud) {
  const client = new Ably.Realtime({ authCallback: ablyAuthCallback({ url: SIGNER, token: TOKEN }), ...cloud });
  await client.channels.get(CHANNEL).subscribe(take);
  console.log(`listening in ${CHANNEL}`);
}

/** Without an app at Ably: shows the result of some sample messages. */
function rehearse() {
  const said = (serial, clientId, data) => take({ action: 'message.create', serial, clientId, data });
  const changed = (action, serial, by, userClaim, data) => take({ action, serial, data, version: { clientId: by }, extras: { userClaim } });
  said('1', 'tom', 'helo');
  changed('message.update', '1', 'tom', 'guest', 'hello');
  changed('message.update', '1', 'mallory', 'guest', 'I am a fool');
  said('2', 'mallory', 'buy this');
  changed('message.delete', '2', 'alice', 'moderator');
  console.log('\nIf you set CLOUD={}, it receives messages from Ably: see examples/README.md.');
}

function take(message) {
  const by = message.version?.clientId ?? message.clientId;
  const believed = messages.receive(message);
  console.log(`${message.action} by ${by}${believed ? '' : ', not accepted'}:`, messages.all.map(({ clientId, data }) => `${clientId}: ${data}`));
}
