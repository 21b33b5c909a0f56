// A web app's own server, on a port that the system chooses: an origin of its own. It has a blank page, a login, and any files given.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';

const BLANK = '<!doctype html><html lang="en"><title>app</title>';
const TYPES = { js: 'text/javascript', mjs: 'text/javascript', html: 'text/html' };

export class Site {
  /** `files` tells the file for each path. */
  static async start(files = {}) {
    const site = new Site();
    site.files = files;
    site.server = createServer((request, response) => site.answer(request, response)).listen(0, '127.0.0.1');
    await once(site.server, 'listening');
    const { port } = site.server.address();
    site.origin = `http://127.0.0.1:${port}`;
    /** The same by a name of another site. */
    site.elsewhere = `http://localhost:${port}`;
    return site;
  }

  answer({ url }, response) {
    const { pathname, searchParams } = new URL(url, 'http://127.0.0.1');
    const file = this.files[pathname];
    if (file) return response.setHeader('content-type', TYPES[file.split('.').pop()]).end(readFileSync(file));
    if (pathname === '/login') response.setHeader('set-cookie', `sid=${searchParams.get('sid')}; Path=/; HttpOnly${searchParams.get('attributes') ?? ''}`);
    if (pathname === '/favicon.ico') return response.writeHead(204).end();
    return response.setHeader('content-type', 'text/html').end(BLANK);
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
