// A Stream that listens on loopback: the WebSocket that `connectUser` opens. It checks each token with Stream's own library.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { WebSocketServer } from 'ws';

import { verifyJwt } from './crypto.js';
import { STREAM } from './signer.js';

export class Stream {
  /** One that has this app. */
  static async start(app = STREAM) {
    const cloud = new Stream();
    Object.assign(cloud, { app, tokens: [], expired: new Set(), sockets: new Set() });
    cloud.http = createServer((_, response) => response.end('{}')).listen(0, '127.0.0.1');
    await once(cloud.http, 'listening');
    cloud.url = `http://127.0.0.1:${cloud.http.address().port}`;
    new WebSocketServer({ server: cloud.http }).on('connection', (socket, request) => cloud.welcome(socket, new URL(request.url, cloud.url)));
    return cloud;
  }

  welcome(socket, url) {
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    const token = url.searchParams.get('authorization');
    const user = JSON.parse(url.searchParams.get('json')).user_id;
    this.tokens.push(token);
    const refuse = (code, message) => socket.send(JSON.stringify({ error: { code, message, StatusCode: 401, duration: '' } }));
    const { claims } = verifyJwt(this.app.secret, token);
    if (this.expired.has(token)) return refuse(40, 'token expired');
    if (claims.user_id !== user) return refuse(5, 'the user of the token is another one');
    const welcome = { type: 'health.check', connection_id: 'c1', me: { id: user }, created_at: new Date().toISOString() };
    socket.send(JSON.stringify(welcome));
  }

  async stop() {
    for (const socket of this.sockets) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, 'close');
  }
}
