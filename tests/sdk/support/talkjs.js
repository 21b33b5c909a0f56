// A TalkJS that listens on loopback: the realtime WebSocket and the one HTTP route that the SDK looks at. It recomputes the signature of
// every token, and can tell its clients that their session has expired.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { WebSocket, WebSocketServer } from 'ws';

import { verifyJwt } from './crypto.js';
import { TALKJS } from './signer.js';

/** A WebSocket like a browser's: an error that no handler listens to is not thrown. */
export class QuietWebSocket extends WebSocket {
  constructor(...all) {
    super(...all).on('error', () => {});
  }
}

export class TalkJs {
  /** One that has this app. */
  static async start(app = TALKJS) {
    const cloud = new TalkJs();
    cloud.app = app;
    Object.assign(cloud, { tokens: [], requests: [] });
    cloud.sockets = new Set();
    cloud.http = createServer((request, response) => response.end('{}')).listen(0, '127.0.0.1');
    await once(cloud.http, 'listening');
    /** Where @talkjs/core finds it. */
    cloud.host = `127.0.0.1:${cloud.http.address().port}`;
    new WebSocketServer({ server: cloud.http }).on('connection', (socket, request) => {
      const [, appId, userId] = request.url.match(/^\/public_api\/v1\/([^/]+)\/realtime\/([^?]+)/);
      Object.assign(socket, { appId, userId: decodeURIComponent(userId) });
      cloud.sockets.add(socket);
      socket.on('close', () => cloud.sockets.delete(socket));
      socket.on('message', (text) => {
        const [sequence, method, path, data] = JSON.parse(text);
        if (method !== 'ACK') socket.send(JSON.stringify([sequence, ...cloud.answer(socket, `${method} ${path}`, data)]));
      });
    });
    return cloud;
  }

  /** Starts anew: who has been here before is not told anything any more. */
  forget() {
    this.sockets.clear();
    Object.assign(this, { tokens: [], requests: [] });
  }

  /** Tells everyone that their session has expired. */
  expire() {
    for (const socket of this.sockets) socket.send(JSON.stringify(['expired', 'PUBLISH', { type: 'session.expired' }]));
  }

  async stop() {
    for (const socket of this.sockets) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, 'close');
  }

  answer(socket, request, data) {
    switch (request) {
      case 'GET /ping': return [200, {}];
      case 'POST /session/renew': return this.renew(socket, data.token);
      default:
        if (!socket.claims) return [401, { errorCode: 'UNAUTHORIZED', reasons: [] }];
        this.requests.push(`${socket.userId}: ${request}`);
        return [200, {}];
    }
  }

  renew(socket, token) {
    try {
      const { claims } = verifyJwt(this.app.secretKey, token);
      if (claims.tokenType !== 'user' || claims.iss !== socket.appId || claims.sub !== socket.userId) throw new Error('not for this user');
      socket.claims = claims;
      this.tokens.push(claims);
      return [200, { expiresInSeconds: claims.exp - Math.floor(Date.now() / 1000) }];
    } catch (error) {
      return [401, { errorCode: 'UNAUTHORIZED', reasons: [error.message] }];
    }
  }
}
