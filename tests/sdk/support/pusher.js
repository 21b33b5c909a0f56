// A server of Pusher's protocol that listens on loopback, as far as subscriptions and sign-ins need it. It recomputes each signature.

import { createHmac } from 'node:crypto';
import { once } from 'node:events';

import { WebSocketServer } from 'ws';

import { PUSHER } from './signer.js';

const SOCKET = '1234.5678';

export class Pusher {
  /** One that has this app. */
  static async start(app = PUSHER) {
    const cloud = new Pusher();
    cloud.app = app;
    cloud.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(cloud.server, 'listening');
    cloud.port = cloud.server.address().port;
    cloud.server.on('connection', (socket) => {
      const send = (event, data, channel) => socket.send(JSON.stringify({ event, channel, data: JSON.stringify(data) }));
      send('pusher:connection_established', { socket_id: SOCKET, activity_timeout: 120 });
      socket.on('message', (text) => cloud.answer(send, JSON.parse(text)));
    });
    return cloud;
  }

  answer(send, { event, data }) {
    if (event === 'pusher:subscribe') {
      const { channel, auth, channel_data: about } = data;
      // The channel of a signed-in user needs no signature.
      if (channel.startsWith('#server-to-user-')) return send('pusher_internal:subscription_succeeded', {}, channel);
      this.check(auth, about === undefined ? `${SOCKET}:${channel}` : `${SOCKET}:${channel}:${about}`);
      const presence = about && { count: 1, ids: [JSON.parse(about).user_id], hash: { [JSON.parse(about).user_id]: null } };
      send('pusher_internal:subscription_succeeded', presence ? { presence } : {}, channel);
    } else if (event === 'pusher:signin') {
      this.check(data.auth, `${SOCKET}::user::${data.user_data}`);
      send('pusher:signin_success', { user_data: data.user_data });
    }
  }

  check(auth, text) {
    const mac = createHmac('sha256', this.app.secret).update(text).digest('hex');
    if (auth !== `${this.app.key}:${mac}`) throw new Error(`the signature of ${text} does not hold`);
  }

  async stop() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}
