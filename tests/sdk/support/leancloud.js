// A LeanCloud that listens on loopback: the realtime server's WebSocket, and the history of its REST interface. It recomputes the signature
// of everything that must have one from what the request itself says, as LeanCloud does, and refuses what doesn't fit with LeanCloud's own
// codes.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { WebSocketServer } from 'ws';

import { leancloudSignature } from './crypto.js';
import { CMD, OP, decode, encode } from './protobuf.js';
import { LEANCLOUD, ROOM } from './signer.js';

const SIGNATURE_FAILED = { code: 4102, reason: 'SIGNATURE_FAILED' };
const CONVERSATION_SIGNATURE_FAILED = { code: 4302, reason: 'CONVERSATION_SIGNATURE_FAILED' };
const BLACKLIST_SIGNATURE_FAILED = { code: 4546, reason: 'BLACKLIST_SIGNATURE_FAILED' };
const KICKED = { code: 4115, reason: 'SESSION_CLOSED_BY_APP' };

export class LeanCloud {
  /** One that has this app. */
  static async start(app = LEANCLOUD) {
    const cloud = new LeanCloud();
    cloud.app = app;
    cloud.http = createServer((request, response) => {
      const [status, body] = cloud.history(new URL(request.url, 'http://127.0.0.1'));
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    }).listen(0, '127.0.0.1');
    await once(cloud.http, 'listening');
    const { port } = cloud.http.address();
    Object.assign(cloud, { url: `ws://127.0.0.1:${port}`, restUrl: `http://127.0.0.1:${port}` });
    cloud.server = new WebSocketServer({ server: cloud.http });
    /** The texts whose signatures were right, without time and nonce. */
    cloud.accepted = [];
    cloud.messages = [];
    cloud.server.on('connection', (socket) => {
      socket.on('message', (bytes) => {
        const command = decode(bytes);
        // A client that is alone on its connection need not say who it is.
        command.peerId ??= socket.peerId;
        const answer = cloud.answer(command, socket);
        socket.send(encode({ cmd: command.cmd, i: command.i, peerId: command.peerId, ...answer }));
      });
    });
    return cloud;
  }

  /** Ends everyone's session, as `POST /1.2/rtm/clients/{id}/kick` does. */
  kickAll() {
    for (const socket of this.server.clients) {
      socket.send(encode({ cmd: CMD.session, op: OP.closed, peerId: socket.peerId, sessionMessage: KICKED }));
    }
  }

  /** Breaks all connections. */
  drop() {
    for (const socket of this.server.clients) socket.terminate();
  }

  async stop() {
    this.drop();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, 'close');
  }

  /** `GET /1.1/rtm/messages/history`, whose signature has the nonce before the time. */
  history({ pathname, searchParams }) {
    if (pathname.endsWith('/rtm/notifications')) return [200, { notifications: [] }];
    if (pathname !== '/1.1/rtm/messages/history') return [404, {}];
    const [convid, peerid, nonce, time, signature] = ['convid', 'peerid', 'nonce', 'signature_ts', 'signature'].map((name) => searchParams.get(name));
    const text = [this.app.appId, peerid, convid, nonce, time].join(':');
    if (signature !== leancloudSignature(this.app.masterKey, text)) return [401, { code: 1, error: 'signature mismatch' }];
    return [200, [{ from: 'carol', data: 'hello', 'conv-id': convid }]];
  }

  answer(command, socket) {
    switch (command.cmd) {
      case CMD.session: return this.session(command, socket);
      case CMD.conv: return this.conversation(command);
      case CMD.blacklist: return this.blacklist(command);
      case CMD.direct:
        this.messages.push(command.directMessage.msg);
        return { cmd: CMD.ack, ackMessage: { uid: `m${command.i}`, t: Date.now(), cid: command.directMessage.cid } };
      default: return {};
    }
  }

  session({ op, peerId, sessionMessage }, socket) {
    const opened = { sessionMessage: { st: 'fake-session-token', stTtl: this.sessionSeconds ?? 3600 }, serverTs: Date.now() };
    switch (op) {
      case OP.open:
        socket.peerId = peerId;
        if (sessionMessage.st === undefined && !this.holds(sessionMessage, [peerId, ''])) return refuse(SIGNATURE_FAILED);
        return { op: OP.opened, peerId, ...opened };
      case OP.refresh:
        return this.holds(sessionMessage, [peerId, '']) ? { op: OP.refreshed, ...opened } : refuse(SIGNATURE_FAILED);
      default: return { op: OP.closed, sessionMessage: {} };
    }
  }

  conversation({ op, peerId, convMessage }) {
    const { cid, m = [] } = convMessage;
    const members = [...m].sort();
    const done = { convMessage: { cid, allowedPids: m } };
    switch (op) {
      case OP.start:
        if (!this.holds(convMessage, [peerId, members.join(':')])) return refuse(CONVERSATION_SIGNATURE_FAILED);
        return { op: OP.started, convMessage: { cid: convMessage.tempConv ? '_tmp:1' : ROOM, cdate: new Date().toISOString() } };
      case OP.add:
        return this.holds(convMessage, [peerId, cid, ...members], 'invite') ? { op: OP.added, ...done } : refuse(CONVERSATION_SIGNATURE_FAILED);
      case OP.remove:
        return this.holds(convMessage, [peerId, cid, ...members], 'kick') ? { op: OP.removed, ...done } : refuse(CONVERSATION_SIGNATURE_FAILED);
      default: return {};
    }
  }

  blacklist({ op, peerId, blacklistMessage }) {
    const { srcCid, toPids = [] } = blacklistMessage;
    const [word, done] = op === OP.block ? ['conversation-block-clients', OP.blocked] : ['conversation-unblock-clients', OP.unblocked];
    if (!this.holds(blacklistMessage, [peerId, srcCid, ...[...toPids].sort()], word)) return refuse(BLACKLIST_SIGNATURE_FAILED);
    return { op: done, blacklistMessage: { allowedPids: toPids } };
  }

  /** Whether a signature is that of these fields, with its own time and nonce, and fresh. */
  holds({ t, n, s }, fields, ...last) {
    const text = [this.app.appId, ...fields, t, n, ...last].join(':');
    const fresh = Math.abs(Date.now() - t) < 60_000;
    if (!fresh || s !== leancloudSignature(this.app.masterKey, text)) return false;
    this.accepted.push([...fields, ...last].join(':'));
    return true;
  }
}

const refuse = (error) => ({ cmd: CMD.error, errorMessage: error });
