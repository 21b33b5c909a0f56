// A Centrifugo that listens on loopback and speaks its JSON protocol as far as connections and subscriptions need it. It checks each token.

import { once } from 'node:events';

import { WebSocketServer } from 'ws';

import { verifyJwt } from './crypto.js';
import { CENTRIFUGO } from './signer.js';

export class Centrifugo {
  /** One with this secret. */
  static async start(secret = CENTRIFUGO.secret) {
    const cloud = new Centrifugo();
    Object.assign(cloud, { secret, claims: [] });
    cloud.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(cloud.server, 'listening');
    cloud.url = `ws://127.0.0.1:${cloud.server.address().port}`;
    cloud.server.on('connection', (socket) => {
      const commands = (text) => text.toString().split('\n').filter((line) => line.trim() !== '');
      socket.on('message', (text) => commands(text).forEach((command) => cloud.answer(socket, JSON.parse(command))));
    });
    return cloud;
  }

  answer(socket, { id, connect, subscribe }) {
    if (connect === undefined && subscribe === undefined) return;
    const { claims } = verifyJwt(this.secret, (connect ?? subscribe).token);
    this.claims.push(claims);
    if (connect) {
      if (claims.channel !== undefined) throw new Error('Centrifugo refuses a subscription token here');
      socket.user = claims.sub;
      socket.send(JSON.stringify({ id, connect: { client: 'c1', version: '6', expires: true, ttl: claims.exp - claims.iat } }));
    } else {
      if (claims.channel !== subscribe.channel || claims.sub !== socket.user) throw new Error('the token is for another subscription');
      socket.send(JSON.stringify({ id, subscribe: { expires: true, ttl: claims.exp - claims.iat } }));
    }
  }

  async stop() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}
