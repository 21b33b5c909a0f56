// Opens a TalkJS session with tokens from chat-signer. ../README.md explains how to run it.

import { getTalkSession, registerPolyfills } from '@talkjs/core';
import { talkjsTokenFetcher } from 'chat-signer-client';
import { WebSocket } from 'ws';

const { SIGNER = 'http://127.0.0.1:7480', TOKEN, CLOUD, CLIENT = 'tom' } = process.env;
if (!TOKEN) throw new Error('set TOKEN to the token of the caller: TOKEN=$(cargo run -qr -- token --sub tom)');

const tokenFetcher = talkjsTokenFetcher({ url: SIGNER, token: TOKEN });
await (CLOUD ? chat(JSON.parse(CLOUD)) : show());

/** Opens a session of an app at TalkJS. */
async function chat(cloud) {
  // Node.js needs a WebSocket class. Browsers have a built-in class.
  registerPolyfills({ WebSocket });
  const session = getTalkSession({ userId: CLIENT, tokenFetcher, ...cloud });
  session.onError((error) => console.log(`the session is over: ${error.message}`));
  await session.currentUser.createIfNotExists({ name: CLIENT });
  console.log(`${CLIENT} is known at TalkJS`);
  process.exit();
}

/** Without an app at TalkJS: shows the token that the SDK gets, and its claims. */
async function show() {
  const token = await tokenFetcher();
  const { sub, iss, exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  console.log(`the token, which the SDK sends to renew its session:\n${token}\n`);
  console.log(`its claims: user ${sub} of the app ${iss}, until ${new Date(exp * 1000).toISOString()}`);
  console.log('\nIf you set CLOUD, the SDK connects to TalkJS with this token: see examples/README.md.');
}
