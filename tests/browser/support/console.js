// A server with the console, moderators with sessions, and a vendor whose answers a test chooses.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';

import { jwt } from '../../sdk/support/crypto.js';
import { Backend, Signer } from '../../sdk/support/signer.js';
import { eventually, launch, open } from './chromium.js';

export const HALL = '5f3c2a1b9e8d7c6b5a493827';
const SERVICE_KEY = 'obviously-fake-service-key-for-tests';
const CALLER_SECRET = 'obviously-fake-caller-secret-for-tests-0123456789abcdef0123456789abcdef';

const configuration = ({ backend, vendor, hash, more }) => `
[server]
listen = "127.0.0.1:0"
request_timeout = "1m"

[admin]
listen = "127.0.0.1:0"

[shutdown]
drain_delay = "0s"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = { file = "leancloud.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }

[apps.talkjs.enforcement]
enabled = true
url = "${vendor}"

[[authenticators]]
name = "sessions"
type = "introspection"
caller = "user"
url = "${backend}/me"
forward = { cookies = ["sid"] }
subject = "/id"
cache = "0s"

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "${hash}" }]

[[webhooks]]
url = "${vendor}/hook"
secret = { file = "webhook.secret" }

[store]
type = "memory"

[console]
enabled = true
title = "Chat moderation"
token = ["paste"]

[[console.reasons]]
id = "spam"
say = "Spam"
label = { en = "Spam", zh = "垃圾信息" }
duration = "24h"

[[console.reasons]]
id = "insults"
say = "Insults"
label = { en = "Insults", zh = "辱骂" }
${more}`;

const POLICY = `
roles = ["guest", "member", "moderator", "manager", "administrator", "owner"]
default_role = "guest"

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave"]

[[rules]]
id = "managers-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role"]
roles = ["manager", "administrator", "owner"]
targets = "outranked"
reason = "Managers and owners moderate members whom they outrank."

[[rules]]
id = "managers-read"
effect = "allow"
actions = ["read-moderation"]
roles = ["manager", "administrator", "owner"]
reason = "Managers and owners read the entries of their conversations."

[[rules]]
id = "support-reads"
effect = "allow"
actions = ["read-moderation"]
roles = ["moderator"]

[[rules]]
id = "administrators"
effect = "allow"
actions = ["read-decisions", "retry-enforcement"]
roles = ["administrator"]

[[rules]]
id = "services-moderate"
effect = "allow"
callers = ["service"]
client = "any"
actions = ["ban", "unban", "mute", "unmute", "set-role", "manage-conversation", "read-moderation"]

[[conversations]]
id = "${HALL}"
owner = "alice"
managers = ["bob", "max"]
members = ["tom", "carol", "dave", "zoe"]

[[bindings]]
user = "ada"
conversation = "*"
role = "administrator"

[[bindings]]
user = "rita"
conversation = "*"
role = "moderator"
`;

/** A token of the app's identity provider. */
export function callerToken(subject) {
  const now = Math.floor(Date.now() / 1000);
  return jwt(CALLER_SECRET, { iss: 'https://id.example.com/', aud: 'chat', sub: subject, iat: now, exp: now + 300 });
}

/** A vendor and a receiver of webhooks on this machine. They answer with the status that a test sets, and remember the requests. */
class FakeVendor {
  static async start() {
    const vendor = Object.assign(new FakeVendor(), { status: 200, hookStatus: 200, participants: {}, asked: [] });
    vendor.server = createServer((request, response) => {
      vendor.asked.push(`${request.method} ${request.url}`);
      const status = request.url === '/hook' ? vendor.hookStatus : vendor.status;
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ participants: vendor.participants }));
    }).listen(0, '127.0.0.1');
    await once(vendor.server, 'listening');
    vendor.url = `http://127.0.0.1:${vendor.server.address().port}`;
    return vendor;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** A running server with the console. */
export class ConsoleServer extends Signer {
  static async start({ more = '', policy = POLICY } = {}) {
    const server = new ConsoleServer();
    const people = ['alice', 'bob', 'max', 'ada', 'rita', 'guest', 'tom'];
    server.backend = await Backend.start(Object.fromEntries(people.map((name) => [name, name])));
    server.vendor = await FakeVendor.start();
    server.directory = mkdtempSync(join(tmpdir(), 'chat-signer-console-'));
    server.write('leancloud.secret', 'fake-leancloud-master-key');
    server.write('talkjs.secret', 'fake-talkjs-secret-key-0123456789abcdef');
    server.write('caller.secret', CALLER_SECRET);
    server.write('webhook.secret', `whsec_${Buffer.alloc(32, 'fake').toString('base64')}`);
    server.write('policy.toml', policy);
    server.write('signer.toml', configuration({ backend: server.backend.url, vendor: server.vendor.url, hash: createHash('sha256').update(SERVICE_KEY).digest('hex'), more }));
    await server.run();
    return server;
  }

  /** Asks a moderation route as the backend. */
  async api(path, body, method = body ? 'POST' : 'GET') {
    const headers = { 'x-api-key': SERVICE_KEY, ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(`${this.url}/v1/moderation/${path}`, { method, headers, body: body && JSON.stringify(body) });
    return response.json();
  }

  /** The dead letters, when there are so many. */
  async deadLetters(count) {
    const dead = async () => (await this.api('enforcements?state=dead-letter')).entries;
    await eventually(async () => assert.equal((await dead()).length, count));
    return dead();
  }

  /** Asks a moderation route as a user with a session. */
  async as(user, path, body) {
    const headers = { cookie: `sid=${user}`, ...(body && { 'content-type': 'application/json' }) };
    const response = await fetch(`${this.url}/v1/moderation/${path}`, { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body) });
    return response.json();
  }

  /** The page in a context of its own, with the session of a user, at an address. */
  async open(browser, user, hash = '#/', options = {}) {
    const opened = await open(browser, { locale: 'en-GB', timezoneId: 'Asia/Shanghai', ...options });
    if (user) await opened.context.addCookies([{ name: 'sid', value: user, url: this.url, httpOnly: true }]);
    await opened.page.goto(`${this.url}/console${hash}`);
    return opened;
  }

  async stop() {
    await super.stop();
    await this.backend.stop();
    this.vendor.stop();
  }
}

export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740, hasTouch: true };
/** The address of a user, with the conversation of the tests. */
export const userAt = (user, more = '') => `#/user/${user}?in=${HALL}${more}`;
/** Waits until the view has its data. */
export const ready = (page) => page.locator('#main[data-ready]').waitFor({ state: 'attached' });
export const receipt = (page) => page.locator('#receipt');
/** Waits until a press is no longer taken as the second half of a double press, which is after 400 ms. */
export const afterDoublePress = (page) => page.waitForTimeout(450);

/** A browser and a server for the tests of a file. */
export function useConsole() {
  const world = {
    /** The page of a moderator. `press` counts the presses. */
    async consoleOf(user, hash, options) {
      const opened = await world.server.open(world.browser, user, hash, { viewport: DESK, ...options });
      await ready(opened.page);
      let presses = 0;
      const press = async (name, role = 'button') => {
        presses += 1;
        const control = typeof name === 'string' || name instanceof RegExp ? opened.page.getByRole(role, { name, exact: typeof name === 'string' }) : name;
        await control.click();
      };
      return { ...opened, press, presses: () => presses };
    },
    clear: (user) => Promise.all(['bans', 'mutes'].map((kind) => world.server.api(`${kind}/lift`, { users: [user], conversation: HALL }))),
    bansOf: async (user) => (await world.server.api(`bans?user=${user}`)).entries,
  };
  before(async () => {
    [world.browser, world.server] = await Promise.all([launch(), ConsoleServer.start()]);
  });
  after(async () => {
    await world.browser?.close();
    await world.server?.stop();
  });
  return world;
}
