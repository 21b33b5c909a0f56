// Chats at LeanCloud with signatures from chat-signer. ../README.md explains how to run it.

import { SignerError, leancloudSignatureFactory } from 'chat-signer-client';
import leancloud from 'leancloud-realtime';

const { SIGNER = 'http://127.0.0.1:7480', TOKEN, CLOUD, CLIENT = 'tom' } = process.env;
const ROOM = '5f3c2a1b9e8d7c6b5a493827';
if (!TOKEN) throw new Error('set TOKEN to the token of the caller: TOKEN=$(cargo run -qr -- token --sub tom)');

const factories = leancloudSignatureFactory({ url: SIGNER, token: TOKEN });
await (CLOUD ? chat(JSON.parse(CLOUD)) : show());

/** Chats with an app at LeanCloud. */
async function chat(cloud) {
  const realtime = new leancloud.Realtime(cloud);
  const client = await realtime.createIMClient(CLIENT, factories);
  console.log(`${client.id} is online`);
  const conversation = await client.createConversation({ members: ['carol'], name: 'Tom and Carol', unique: true });
  await conversation.send(new leancloud.TextMessage('hello'));
  console.log(`said hello in ${conversation.id}`);
  await client.close();
}

/** Without an app at LeanCloud: shows the signatures that the SDK would send. */
async function show() {
  const { signatureFactory, conversationSignatureFactory } = factories;
  await log('goes online', signatureFactory(CLIENT));
  await log('creates a conversation with carol', conversationSignatureFactory(null, CLIENT, ['carol', CLIENT], 'create'));
  await log(`joins ${ROOM}`, conversationSignatureFactory(ROOM, CLIENT, [CLIENT], 'add'));
  await log(`invites zoe to ${ROOM}`, conversationSignatureFactory(ROOM, CLIENT, ['zoe'], 'add'));
  console.log('\nIf you set CLOUD, the SDK sends this to LeanCloud: see examples/README.md.');
}

async function log(what, signing) {
  try {
    const { signature, timestamp, nonce } = await signing;
    console.log(`${CLIENT} ${what}: s=${signature} t=${timestamp} n=${nonce}`);
  } catch (error) {
    if (!(error instanceof SignerError)) throw error;
    console.log(`${CLIENT} ${what}: refused (${error.status}): ${error.message}`);
  }
}
