// Chats at Ably with tokens from chat-signer. ../README.md explains how to run it.

import Ably from 'ably';
import { ablyAuthCallback } from 'chat-signer-client';

const { SIGNER = 'http://127.0.0.1:7480', TOKEN, CLOUD, CHANNEL = 'chat:lobby' } = process.env;
if (!TOKEN) throw new Error('set TOKEN to the token of the caller: TOKEN=$(cargo run -qr -- token --sub tom)');

// This is all that ably-js needs. It requests a new token before the old token expires.
const client = new Ably.Realtime({
  authCallback: ablyAuthCallback({ url: SIGNER, token: TOKEN }),
  autoConnect: false,
  ...(CLOUD && JSON.parse(CLOUD)),
});

await (CLOUD ? chat() : show());

/** Chats with an app at Ably. */
async function chat() {
  client.connection.on('failed', ({ reason }) => {
    // The reason comes from chat-signer, for example a ban. The client does not leave this state.
    console.log(`refused: ${reason.cause?.message ?? reason.message}`);
    process.exit(1);
  });
  client.connect();
  await client.connection.whenState('connected');
  const channel = client.channels.get(CHANNEL);
  const heard = new Promise((resolve) => channel.subscribe(resolve));
  await channel.publish('greeting', 'hello');
  const { clientId, data } = await heard;
  console.log(`${clientId} said ${data} in ${CHANNEL}`);
  client.close();
}

/** Without an app at Ably: shows the token that the SDK gets, and its claims. */
async function show() {
  const { token } = await client.auth.requestToken();
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  console.log(`the token, which the SDK sends as access_token:\n${token}\n`);
  console.log(`its claims: client ${claims['x-ably-clientId']}, until ${new Date(claims.exp * 1000).toISOString()}, may`);
  console.log(JSON.parse(claims['x-ably-capability']));
  console.log('\nIf you set CLOUD={}, the SDK connects to Ably with this token: see examples/README.md.');
}
