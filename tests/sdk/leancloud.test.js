// leancloud-realtime, the version that is out and the one to come, with factories as docs/sdks.md has them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { LeanCloud } from './support/leancloud.js';
import { LEANCLOUD, ROOM, Signer, callerToken } from './support/signer.js';

const require = createRequire(import.meta.url);
const VERSIONS = {
  4: { sdk: require('leancloud-realtime'), blacklist: (clientId, conversationId, ...rest) => [conversationId, clientId, ...rest] },
  5: { sdk: require('leancloud-realtime-5'), blacklist: (...all) => all },
};

/** The factories of docs/sdks.md. `blacklist` puts the arguments in order: version 4 has the first two the other way round. */
function factories(signer, subject, blacklist) {
  const sign = async (conv_id, client_id, members, action) => {
    const response = await fetch(`${signer.url}/sign2`, {
      method: 'POST',
      headers: { authorization: `Bearer ${callerToken(subject)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ client_id, conv_id, members, action }),
    });
    const answer = await response.json();
    if (!response.ok) throw Object.assign(new Error(answer.error), { code: answer.code });
    return answer;
  };
  return {
    signatureFactory: (client) => sign(null, client),
    conversationSignatureFactory: sign,
    blacklistSignatureFactory: (...all) => sign(...blacklist(...all)),
  };
}

for (const [version, { sdk, blacklist }] of Object.entries(VERSIONS)) {
  describe(`leancloud-realtime ${version}`, () => {
    let signer, cloud, realtime;
    const clients = [];

    before(async () => {
      [signer, cloud] = await Promise.all([Signer.start(), LeanCloud.start()]);
      realtime = new sdk.Realtime({ ...LEANCLOUD, server: cloud.restUrl, RTMServers: cloud.url });
    });
    after(() => Promise.all([signer.stop(), cloud.stop()]));
    beforeEach(() => {
      cloud.accepted = [];
      cloud.sessionSeconds = 3600;
    });
    afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

    const login = async (id, options = factories(signer, id, blacklist)) => {
      const client = await realtime.createIMClient(id, options);
      clients.push(client);
      return client;
    };
    const room = async (client) => {
      const data = { id: ROOM, members: [client.id], creator: 'alice', createdAt: new Date(), updatedAt: new Date() };
      return client.parseConversation(data);
    };

    test('logs in and creates conversations', async () => {
      const tom = await login('tom');
      await tom.createConversation({ members: ['zoe', 'Bob', 'carol'] });
      await tom.createConversation({ members: [], unique: true });
      await tom.createTemporaryConversation({ members: ['汤'] });
      await tom.createChatRoom({});
      assert.deepEqual(cloud.accepted, ['tom:', 'tom:Bob:carol:tom:zoe', 'tom:tom', 'tom:tom:汤', 'tom:tom']);
    });

    test('joins and leaves', async () => {
      const conversation = await room(await login('tom'));
      await conversation.join();
      await conversation.quit();
      assert.deepEqual(cloud.accepted.slice(1), [`tom:${ROOM}:tom:invite`, `tom:${ROOM}:tom:kick`]);
    });

    test('invites, kicks, blocks and unblocks', async () => {
      const conversation = await room(await login('alice'));
      assert.deepEqual((await conversation.add(['zoe', 'bob'])).successfulClientIds.sort(), ['bob', 'zoe']);
      assert.deepEqual((await conversation.remove(['zoe'])).successfulClientIds, ['zoe']);
      await conversation.blockMembers(['zoe', 'bob']);
      await conversation.unblockMembers('zoe');
      assert.deepEqual(cloud.accepted.slice(1), [
        `alice:${ROOM}:bob:zoe:invite`,
        `alice:${ROOM}:zoe:kick`,
        `alice:${ROOM}:bob:zoe:conversation-block-clients`,
        `alice:${ROOM}:zoe:conversation-unblock-clients`,
      ]);
    });

    test('shows why something is refused, and goes on', async () => {
      const tom = await login('tom');
      const conversation = await room(tom);
      const refused = { code: 403, message: /^sign error: invite is not allowed in .*: Only managers and owners add and remove members\.$/ };
      await assert.rejects(conversation.add(['zoe']), refused);
      await assert.rejects(conversation.blockMembers(['carol']), { code: 403, message: /^sign error: block-clients is not allowed/ });
      await conversation.send(new sdk.TextMessage('still here'));
      await assert.rejects(login('dave', factories(signer, 'carol', blacklist)), { code: 403, message: /^sign error: login is not allowed/ });
    });

    test('does not get past the cloud with a signature for something else', async () => {
      const { signatureFactory } = factories(signer, 'tom', blacklist);
      const tom = await login('tom', { signatureFactory, conversationSignatureFactory: () => signatureFactory('tom') });
      await assert.rejects(tom.createConversation({ members: ['zoe'] }), { code: 4302 });
    });

    test('is banned in the middle of a session', async (context) => {
      const tom = await login('tom');
      const conversation = await room(tom);
      await signer.ban('tom', 'spam');
      context.after(() => signer.pardon());

      // What needs a new signature fails and says why; the session itself goes on.
      const banned = { code: 403, message: 'sign error: tom is banned: spam' };
      await assert.rejects(conversation.join(), banned);
      await assert.rejects(tom.createConversation({ members: ['zoe'] }), banned);
      await conversation.send(new sdk.TextMessage('said by one who is banned'));

      // It also outlives the connection, as a session token stands for the signature. Coming back the SDK asks for what it has missed, by
      // HTTPS in any case, and complains.
      context.mock.method(console, 'warn', () => {});
      const reconnected = once(tom, 'reconnect');
      cloud.drop();
      await reconnected;
      await conversation.send(new sdk.TextMessage('said after coming back'));

      // Only the cloud can end it; then there is no way back. Until the app closes the client it gets the same dead one again.
      const closed = once(tom, 'close');
      cloud.kickAll();
      assert.deepEqual(await closed, [{ code: 4115, reason: 'SESSION_CLOSED_BY_APP' }]);
      assert.equal(await realtime.createIMClient('tom'), tom);
      await tom.close();
      await assert.rejects(login('tom'), banned);
    });

    test('is banned when its session token runs out', async (context) => {
      cloud.sessionSeconds = 0;
      const tom = await login('tom');
      await signer.ban('tom', 'spam');
      context.after(() => signer.pardon());
      // Asking the REST interface takes a session token, and a new one takes a signature.
      const conversation = await room(tom);
      await assert.rejects(conversation.getAllMemberInfo({ noCache: true }), { message: 'sign error: tom is banned: spam' });
    });
  });
}
