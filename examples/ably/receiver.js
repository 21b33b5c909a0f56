// Shows a channel's messages, and lets others change them only where their user claim says that they may. See ../README.md for how to run
// it. At Ably the channel needs the rule "Message annotations, updates, deletes, and appends".

import Ably from 'ably';

import { Messages } from './messages.js';

const { SIGNER = 'http://127.0.0.1:7480', TOKEN, CLOUD, CHANNEL = 'chat:lobby' } = process.env;
if (!TOKEN) throw new Error('set TOKEN to what proves the caller: TOKEN=$(cargo run -qr -- token --sub tom)');

const messages = new Messages();
await (CLOUD ? listen(JSON.parse(CLOUD)) : rehearse());

/** With an app at Ably. */
async function listen(cloud) {
  const client = new Ably.Realtime({ authUrl: `${SIGNER}/v1/ably/token`, authHeaders: { authorization: `Bearer ${TOKEN}` }, ...cloud });
  await client.channels.get(CHANNEL).subscribe(take);
  console.log(`listening in ${CHANNEL}`);
}

/** Without: what it would make of these. */
function rehearse() {
  const said = (serial, clientId, data) => take({ action: 'message.create', serial, clientId, data });
  const changed = (action, serial, by, userClaim, data) => take({ action, serial, data, version: { clientId: by }, extras: { userClaim } });
  said('1', 'tom', 'helo');
  changed('message.update', '1', 'tom', 'guest', 'hello');
  changed('message.update', '1', 'mallory', 'guest', 'I am a fool');
  said('2', 'mallory', 'buy this');
  changed('message.delete', '2', 'alice', 'moderator');
  console.log('\nWith CLOUD={} set, it listens at Ably: see examples/README.md.');
}

function take(message) {
  const by = message.version?.clientId ?? message.clientId;
  const believed = messages.receive(message);
  console.log(`${message.action} by ${by}${believed ? '' : ', not believed'}:`, messages.all.map(({ clientId, data }) => `${clientId}: ${data}`));
}
