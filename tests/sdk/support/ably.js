// An Ably that listens on loopback: the realtime WebSocket and as much of the REST interface as exchanges a TokenRequest and takes
// messages, and revokes tokens. It checks tokens and MACs by recomputing them, copies a token's user claims to messages as Ably does,
// and can ask its clients to authenticate anew or end their tokens.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { WebSocketServer } from 'ws';

import { ablyMac, jwt, verifyJwt } from './crypto.js';
import { ABLY } from './signer.js';

const ACTION = { ack: 1, nack: 2, connected: 4, disconnected: 6, close: 7, closed: 8, error: 9, attach: 10, attached: 11, message: 15, auth: 17 };
const REVOKED = { code: 40141, statusCode: 401, message: 'Token revoked' };
const EXPIRED = { code: 40142, statusCode: 401, message: 'Token expired' };

export class Ably {
  /** One that has this key. */
  static async start(key = ABLY) {
    const cloud = new Ably();
    cloud.key = key;
    cloud.said = new Map();
    Object.assign(cloud, { tokens: [], requests: [], revoked: [], sockets: new Set() });
    cloud.http = createServer((request, response) => cloud.rest(request, response)).listen(0, '127.0.0.1');
    await once(cloud.http, 'listening');
    cloud.port = cloud.http.address().port;
    new WebSocketServer({ server: cloud.http }).on('connection', (socket, request) => cloud.connect(socket, request));
    return cloud;
  }

  /** Where ably-js finds it. */
  get options() {
    const host = '127.0.0.1';
    const { port } = this;
    return { realtimeHost: host, restHost: host, port, tls: false, useBinaryProtocol: false, transports: ['web_socket'], fallbackHosts: [] };
  }

  /** Asks everyone to authenticate anew, as Ably does shortly before a token expires. */
  reauthenticate() {
    for (const socket of this.sockets) send(socket, { action: ACTION.auth });
  }

  /** Ends everyone's connection because their token has expired, as Ably also does when it is revoked. */
  expire() {
    for (const socket of this.sockets) end(socket, EXPIRED);
  }

  /** Revokes the tokens of these clients, for who has the key. */
  revoke(authorization, targets) {
    const { keyName, secret } = this.key;
    if (authorization !== `Basic ${Buffer.from(`${keyName}:${secret}`).toString('base64')}`) throw new Error('another key');
    this.revoked.push(...targets);
    for (const socket of this.sockets) {
      if (targets.includes(`clientId:${socket.claims['x-ably-clientId']}`)) end(socket, REVOKED);
    }
    const results = targets.map((target) => ({ target, issuedBefore: Date.now(), appliesAt: Date.now() }));
    return { successCount: results.length, failureCount: 0, results };
  }

  async stop() {
    for (const socket of this.sockets) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, 'close');
  }

  /** Takes a token; what it says is kept for the tests to look at. */
  accept(token) {
    const { header, claims } = verifyJwt(this.key.secret, token);
    if (header.kid !== this.key.keyName || header.typ !== 'JWT') throw new Error('not a token for this key');
    if (claims.exp - claims.iat > 24 * 3600) throw new Error('lives too long');
    this.tokens.push(claims);
    return claims;
  }

  connect(socket, request) {
    try {
      socket.claims = this.accept(new URL(request.url, 'http://127.0.0.1').searchParams.get('access_token'));
    } catch (error) {
      return send(socket, { action: ACTION.error, error: { code: 40101, statusCode: 401, message: error.message } });
    }
    socket.channels = new Set();
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('message', (text) => this.receive(socket, JSON.parse(text)));
    return send(socket, connected(socket));
  }

  receive(socket, { action, channel, msgSerial, messages, auth }) {
    switch (action) {
      case ACTION.auth:
        socket.claims = this.accept(auth.accessToken);
        return send(socket, connected(socket));
      case ACTION.attach:
        socket.channels.add(channel);
        return send(socket, { action: ACTION.attached, channel, flags: 0 });
      case ACTION.message: {
        const refused = { code: 40160, statusCode: 401, message: 'not permitted' };
        if (!messages.every((message) => this.permits(socket, channel, message))) return send(socket, { action: ACTION.nack, msgSerial, count: 1, error: refused });
        const stamped = messages.map((message) => this.stamp(socket, channel, message));
        send(socket, { action: ACTION.ack, msgSerial, count: 1, res: [{ serials: stamped.map(({ serial }) => serial) }] });
        return this.deliver(channel, stamped);
      }
      case ACTION.close:
        return send(socket, { action: ACTION.closed });
      default:
        return undefined;
    }
  }

  /** Whether the sender's capability is enough: to publish, or to change a message of one's own or of anyone. */
  permits({ claims }, channel, { action = 0, serial }) {
    if (action === 0) return allows(claims, channel, 'publish');
    const word = action === 1 ? 'update' : 'delete';
    const isOwn = this.said.get(serial) === claims['x-ably-clientId'];
    return allows(claims, channel, `message-${word}-any`) || (isOwn && allows(claims, channel, `message-${word}-own`));
  }

  /** Adds what only Ably can: the author, who changes it, and the sender's user claim. */
  stamp({ claims }, channel, message) {
    const sender = claims['x-ably-clientId'];
    const { action = 0, serial = `s${this.said.size}`, extras, ...rest } = message;
    if (action === 0) this.said.set(serial, sender);
    const userClaim = claims[`ably.channel.${channel}`] ?? claims[`ably.channel.${channel.split(':')[0]}:*`] ?? claims['ably.channel.*'];
    return { ...rest, action, serial, clientId: this.said.get(serial), version: { serial: `v${Math.random()}`, clientId: sender }, extras: { ...extras, ...(userClaim && { userClaim }) } };
  }

  deliver(channel, messages) {
    for (const socket of this.sockets) {
      if (socket.channels.has(channel)) send(socket, { action: ACTION.message, channel, id: 'm', timestamp: Date.now(), messages });
    }
  }

  async rest(request, response) {
    const body = Buffer.concat(await request.toArray()).toString();
    const answer = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const refuse = (message) => answer(401, { error: { code: 40101, statusCode: 401, message } });
    if (request.url.startsWith(`/keys/${this.key.keyName}/requestToken`)) {
      const asked = JSON.parse(body);
      if (asked.mac !== ablyMac(this.key.secret, asked)) return refuse('the MAC does not hold');
      if (Math.abs(Date.now() - asked.timestamp) > 120_000) return refuse('the request is old');
      this.requests.push(asked);
      return answer(201, this.details(asked));
    }
    try {
      if (request.url === `/keys/${this.key.keyName}/revokeTokens`) return answer(201, this.revoke(request.headers.authorization, JSON.parse(body).targets));
      const claims = this.accept(Buffer.from(request.headers.authorization.replace('Bearer ', ''), 'base64').toString());
      const channel = decodeURIComponent(request.url.split('/')[2]);
      return allows(claims, channel, 'publish') ? answer(201, {}) : refuse('not permitted');
    } catch (error) {
      return refuse(error.message);
    }
  }

  /** The token that a TokenRequest is exchanged for. */
  details({ ttl, capability, clientId }) {
    const issued = Date.now();
    const claims = { iat: Math.floor(issued / 1000), exp: Math.floor((issued + ttl) / 1000), 'x-ably-capability': capability, 'x-ably-clientId': clientId };
    return { token: jwt(this.key.secret, claims, { kid: this.key.keyName }), issued, expires: issued + ttl, capability, clientId };
  }
}

/** Waits until a client is in a state, and tells why it came to that. */
export async function reaches(client, state) {
  const { connection } = client;
  await Promise.race([state, 'failed'].map((one) => connection.whenState(one)));
  assert.equal(connection.state, state, connection.errorReason?.cause?.message);
  return connection.errorReason;
}

function end(socket, error) {
  send(socket, { action: ACTION.disconnected, error });
  socket.close();
}

const send = (socket, message) => socket.send(JSON.stringify(message));

function connected({ claims }) {
  const details = { clientId: claims['x-ably-clientId'], connectionKey: 'key', connectionStateTtl: 120_000, maxIdleInterval: 15_000, maxMessageSize: 65_536 };
  return { action: ACTION.connected, connectionId: 'id', connectionKey: 'key', connectionDetails: details };
}

function allows(claims, channel, operation) {
  const capability = JSON.parse(claims['x-ably-capability']);
  return Object.entries(capability).some(([resource, operations]) => {
    const covers = resource === '*' || resource === channel || (resource.endsWith(':*') && channel.startsWith(resource.slice(0, -1)));
    return covers && (operations.includes(operation) || operations.includes('*'));
  });
}
