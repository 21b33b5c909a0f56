// A Centrifugo with a proxy that listens on loopback and speaks its JSON protocol. It asks the proxy about everything that clients do, as
// Centrifugo does with `http_headers = ["Authorization", "Cookie"]`.

import { once } from 'node:events';

import { WebSocketServer } from 'ws';

import { CENTRIFUGO } from './signer.js';

const EXPIRED = { code: 3005, reason: 'connection expired' };
const INTERNAL = { code: 100, message: 'internal server error', temporary: true };
const FORWARDED = ['authorization', 'cookie'];

export class ProxiedCentrifugo {
  /** One that asks this server. `asked` are the calls that it made. */
  static async start(url, key = CENTRIFUGO.proxyKey) {
    const cloud = new ProxiedCentrifugo();
    Object.assign(cloud, { proxy: `${url}/v1/centrifugo/proxy`, key, asked: [] });
    cloud.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(cloud.server, 'listening');
    cloud.url = `ws://127.0.0.1:${cloud.server.address().port}`;
    cloud.server.on('connection', (socket, { headers }) => {
      Object.assign(socket, { headers, channels: new Set() });
      const commands = (text) => text.toString().split('\n').filter((line) => line.trim() !== '');
      socket.on('message', async (text) => {
        for (const command of commands(text)) await cloud.answer(socket, JSON.parse(command));
      });
    });
    return cloud;
  }

  /** Asks the proxy. Any status but 200 is an internal error. */
  async ask(call, socket, more) {
    this.asked.push(call);
    const body = { client: 'c1', transport: 'websocket', protocol: 'json', encoding: 'json', user: socket.user, ...more };
    const headers = { 'content-type': 'application/json', 'x-centrifugo-proxy-key': this.key, ...socket.forwarded };
    const response = await fetch(`${this.proxy}/${call}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return response.status === 200 ? response.json() : { error: INTERNAL };
  }

  async answer(socket, { id, connect, subscribe, publish, rpc }) {
    const reply = (name, { result, error, disconnect }, value) => {
      if (disconnect) return socket.close(disconnect.code, disconnect.reason);
      socket.send(JSON.stringify(error ? { id, error } : { id, [name]: value(result) }));
      return undefined;
    };
    if (connect) {
      // A browser cannot set headers, so the SDK sends them in its first message.
      const sent = { ...socket.headers, ...Object.fromEntries(Object.entries(connect.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])) };
      socket.forwarded = Object.fromEntries(FORWARDED.filter((name) => name in sent).map((name) => [name, sent[name]]));
      const answer = await this.ask('connect', socket, { data: connect.data });
      socket.user = answer.result?.user;
      reply('connect', answer, () => ({ client: 'c1', version: '6' }));
    } else if (subscribe) {
      const answer = await this.ask('subscribe', socket, { channel: subscribe.channel });
      if (answer.result) socket.channels.add(subscribe.channel);
      reply('subscribe', answer, () => ({}));
    } else if (publish) {
      const answer = await this.ask('publish', socket, publish);
      if (answer.result) this.push(publish);
      reply('publish', answer, () => ({}));
    } else if (rpc) {
      reply('rpc', await this.ask('rpc', socket, rpc), ({ data }) => ({ data }));
    }
  }

  push({ channel, data }) {
    for (const socket of this.server.clients) {
      if (socket.channels.has(channel)) socket.send(JSON.stringify({ push: { channel, pub: { data } } }));
    }
  }

  /** The connections and subscriptions of a user expire now. */
  async expire(user) {
    for (const socket of [...this.server.clients].filter((socket) => socket.user === user)) {
      for (const channel of socket.channels) {
        const { result } = await this.ask('sub_refresh', socket, { channel });
        if (!result.expired) continue;
        socket.channels.delete(channel);
        socket.send(JSON.stringify({ push: { channel, unsubscribe: { code: 2501, reason: 'expired' } } }));
      }
      const { disconnect, result } = await this.ask('refresh', socket);
      const end = disconnect ?? (result.expired && EXPIRED);
      if (end) socket.close(end.code, end.reason);
    }
  }

  async stop() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
    await once(this.server, 'close');
  }
}
