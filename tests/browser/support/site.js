// A web app's own server, on a port that the system chooses: an origin of its own. It has a blank page, a login, and any files given.

import { once } from 'node:events';
import { createServer, request as send } from 'node:http';
import { readFileSync } from 'node:fs';

const BLANK = '<!doctype html><html lang="en"><title>app</title>';
const TYPES = { js: 'text/javascript', mjs: 'text/javascript', html: 'text/html' };

export class Site {
  /** `files` tells the file for each path, and `routes` the server for each beginning of a path. */
  static async start(files = {}, routes = {}) {
    const site = new Site();
    Object.assign(site, { files, routes });
    site.server = createServer((request, response) => site.answer(request, response)).listen(0, '127.0.0.1');
    await once(site.server, 'listening');
    const { port } = site.server.address();
    site.origin = `http://127.0.0.1:${port}`;
    /** The same by a name of another site. */
    site.elsewhere = `http://localhost:${port}`;
    return site;
  }

  answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
    const [, server] = Object.entries(this.routes).find(([start]) => pathname.startsWith(start)) ?? [];
    if (server) return this.passOn(server, request, response);
    const file = this.files[pathname];
    if (file) return response.setHeader('content-type', TYPES[file.split('.').pop()]).end(readFileSync(file));
    if (pathname === '/login') response.setHeader('set-cookie', `sid=${searchParams.get('sid')}; Path=/; HttpOnly${searchParams.get('attributes') ?? ''}`);
    if (pathname === '/favicon.ico') return response.writeHead(204).end();
    return response.setHeader('content-type', 'text/html').end(BLANK);
  }

  /** Passes a request on as it is, with its `Host`, and the answer back. */
  passOn(server, request, response) {
    const { method, headers, url } = request;
    const passed = send(`${server}${url}`, { method, headers }, (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
