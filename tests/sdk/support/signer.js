// The real program, with a configuration of its own, on ports that the system chooses.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { jwt } from './crypto.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PROGRAM = process.env.CHAT_SIGNER ?? join(ROOT, 'target/debug/chat-signer');

export const LEANCLOUD = { appId: 'fake-leancloud-app', appKey: 'fake-leancloud-app-key', masterKey: 'fake-leancloud-master-key' };
export const TALKJS = { appId: 'fake-talkjs-app', secretKey: 'fake-talkjs-secret-key-0123456789abcdef' };
export const ABLY = { keyName: 'fakeapp.fakekey', secret: 'fake-ably-secret-0123456789abcdef' };
export const STREAM = { apiKey: 'fake-stream-key', secret: 'fake-stream-secret-0123456789abcdef' };
export const CENTRIFUGO = { secret: 'fake-centrifugo-secret-0123456789abcdef', proxyKey: 'fake-centrifugo-proxy-key-0123456789' };
export const LIVEKIT = { apiKey: 'fake-livekit-key', secret: 'fake-livekit-secret-0123456789abcdef', url: 'wss://livekit.example.com' };
export const PUSHER = {
  appId: '4711',
  key: 'fake-pusher-key',
  secret: 'fake-pusher-secret-0123456789abcdef',
  encryptionKey: Buffer.from('fake-pusher-encryption-key-01234').toString('base64'),
};
export const TENCENT = { sdkAppId: 1400000001, secret: 'fake-tencent-secret-0123456789abcdef' };
export const AGORA = { appId: 'fa4e0000000000000000000000000a99', certificate: 'fa4e5ec2e7fa4e5ec2e7fa4e5ec2e700' };
export const SYNAPSE = { secret: 'fake-synapse-secret-0123456789abcdef' };
/** The key pair of the app `supabase`, new for each run. */
const SUPABASE_KEYS = generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const SUPABASE = { kid: 'fake-key', jwk: { ...SUPABASE_KEYS.publicKey.export({ format: 'jwk' }), kid: 'fake-key', alg: 'ES256', key_ops: ['verify'] } };
export const ROOM = '5f3c2a1b9e8d7c6b5a493827';
/** A page that may call from a browser. */
export const PAGE = 'https://app.example.com';

const SERVICE_KEY = 'obviously-fake-service-key-for-tests';
const CALLER_SECRET = 'obviously-fake-caller-secret-for-tests-0123456789abcdef0123456789abcdef';
const ISSUER = 'https://id.example.com/';

const configuration = ({ backend, pages, credentials, enforced, soketi }) => `
[server]
listen = "127.0.0.1:0"
request_timeout = "1m"
[server.cors]
origins = ${JSON.stringify(pages)}
credentials = ${credentials}

[admin]
listen = "127.0.0.1:0"

[shutdown]
drain_delay = "0s"

[apps.leancloud]
vendor = "leancloud"
app_id = "${LEANCLOUD.appId}"
master_key = { file = "leancloud.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "${TALKJS.appId}"
secret_key = { file = "talkjs.secret" }

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
revocable = ${enforced !== undefined}
capability = { "chat:*" = ["subscribe", "publish"], "user:{client}" = ["subscribe"] }
user_claims = ["channel"]

[apps.stream]
vendor = "stream"
api_key = "${STREAM.apiKey}"
secret = { file = "stream.secret" }

[apps.centrifugo]
vendor = "centrifugo"
secret = { file = "centrifugo.secret" }
proxy_key = { file = "centrifugo-proxy.secret" }
proxy_token_member = "token"

[apps.livekit]
vendor = "livekit"
url = "${LIVEKIT.url}"
api_key = "${LIVEKIT.apiKey}"
secret = { file = "livekit.secret" }

[apps.pusher]
vendor = "pusher"
app_id = "${PUSHER.appId}"
key = "${PUSHER.key}"
secret = { file = "pusher.secret" }
${soketi === undefined ? '' : `encryption_master_key = { file = "pusher-encryption.secret" }
[apps.pusher.enforcement]
enabled = true
url = "${soketi.url}"
`}
[apps.tencent]
vendor = "tencent"
sdk_app_id = ${TENCENT.sdkAppId}
secret = { file = "tencent.secret" }

[apps.agora]
vendor = "agora"
app_id = "${AGORA.appId}"
app_certificate = { file = "agora.secret" }

[apps.synapse]
vendor = "jwt"
preset = "synapse"
secret = { file = "synapse.secret" }

[apps.supabase]
vendor = "jwt"
preset = "supabase"
algorithm = "ES256"
private_key = { file = "supabase.pem" }
kid = "${SUPABASE.kid}"

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "${ISSUER}"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }

[[authenticators]]
name = "sessions"
type = "introspection"
caller = "user"
url = "${backend}/me"
forward = { cookies = ["sid"] }
subject = "/id"
cache = "0s"

[[authenticators]]
name = "leancloud-users"
type = "leancloud-session"
caller = "user"
app = "leancloud"
url = "${backend}"
app_key = { file = "app-key.secret" }
cache = "0s"

[[authenticators]]
name = "moderation"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "moderation", sha256 = "${createHash('sha256').update(SERVICE_KEY).digest('hex')}" }]

[store]
type = "memory"
${enforced === undefined ? '' : `
[apps.ably.enforcement]
enabled = true
url = "http://127.0.0.1:${enforced.port}"
`}`;

const POLICY = `
roles = ["guest", "member", "moderator", "manager", "owner"]
default_role = "guest"

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave", "block-conversation", "unblock-conversation"]

[[rules]]
id = "members"
effect = "allow"
apps = ["leancloud"]
actions = ["history"]
roles = ["member", "manager", "owner"]

[[rules]]
id = "managers"
effect = "allow"
actions = ["invite", "kick", "block-clients", "unblock-clients"]
roles = ["manager", "owner"]
reason = "Only managers and owners add and remove members."

[[rules]]
id = "chat"
effect = "allow"
apps = ["ably", "centrifugo", "livekit", "tencent", "agora"]
actions = ["subscribe", "publish", "history"]
conversations = ["chat:*"]

[[rules]]
id = "pusher-chat"
effect = "allow"
apps = ["pusher"]
actions = ["subscribe", "publish", "presence"]
conversations = ["chat.*"]

[[rules]]
id = "own-channel"
effect = "allow"
apps = ["ably"]
actions = ["subscribe"]
conversations = ["user:{client}"]

[[rules]]
id = "services-moderate"
effect = "allow"
callers = ["service"]
client = "any"
actions = ["ban", "unban", "mute", "unmute"]

[[conversations]]
id = "${ROOM}"
owner = "alice"
managers = ["65847593aabbccddeeff0011"]
members = ["tom", "carol"]

[[bindings]]
user = "alice"
conversation = "chat:*"
role = "moderator"
`;

const FILES = {
  'leancloud.secret': LEANCLOUD.masterKey,
  'talkjs.secret': TALKJS.secretKey,
  'ably.secret': `${ABLY.keyName}:${ABLY.secret}`,
  'stream.secret': STREAM.secret,
  'centrifugo.secret': CENTRIFUGO.secret,
  'centrifugo-proxy.secret': CENTRIFUGO.proxyKey,
  'livekit.secret': LIVEKIT.secret,
  'pusher.secret': PUSHER.secret,
  'pusher-encryption.secret': PUSHER.encryptionKey,
  'tencent.secret': TENCENT.secret,
  'agora.secret': AGORA.certificate,
  'synapse.secret': SYNAPSE.secret,
  'supabase.pem': SUPABASE_KEYS.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  'caller.secret': CALLER_SECRET,
  'app-key.secret': LEANCLOUD.appKey,
};

/** A token of the app's own identity provider: what a logged-in user's device has. */
export function callerToken(subject) {
  const now = Math.floor(Date.now() / 1000);
  return jwt(CALLER_SECRET, { iss: ISSUER, aud: 'chat', sub: subject, iat: now, exp: now + 300 });
}

/** A running server. */
export class Signer {
  /**
   * Starts one that asks the backend about sessions, for these pages, with their cookies or without. It sends bans to this Ably and this
   * Soketi. With a Soketi, it has encrypted channels.
   */
  static async start(backend, { pages = [PAGE], credentials = true, enforced, soketi } = {}) {
    const signer = new Signer();
    signer.directory = mkdtempSync(join(tmpdir(), 'chat-signer-sdk-'));
    signer.backend = backend?.url ?? 'http://127.0.0.1:9';
    for (const [name, text] of Object.entries(FILES)) signer.write(name, text);
    signer.write('policy.toml', POLICY);
    signer.write('signer.toml', configuration({ backend: signer.backend, pages, credentials, enforced, soketi }));
    await signer.run();
    return signer;
  }

  /** The demonstration at the project's root. */
  static async demonstration() {
    const signer = new Signer();
    signer.directory = mkdtempSync(join(tmpdir(), 'chat-signer-demo-'));
    cpSync(join(ROOT, 'deploy/demo'), join(signer.directory, 'deploy/demo'), { recursive: true });
    for (const name of ['leancloud', 'talkjs', 'ably', 'stream', 'centrifugo', 'livekit', 'pusher', 'tencent', 'agora', 'jwt', 'caller']) chmodSync(join(signer.directory, `deploy/demo/${name}.secret`), 0o600);
    signer.write('policy.toml', readFileSync(join(ROOT, 'policy.toml')));
    const settings = readFileSync(join(ROOT, 'signer.toml'), 'utf8');
    signer.write('signer.toml', settings.replace(/127\.0\.0\.1:748\d/g, '127.0.0.1:0').replace('request_timeout = "5s"', 'request_timeout = "1m"'));
    await signer.run();
    return signer;
  }

  /** What a command prints. */
  command(...words) {
    return execFileSync(PROGRAM, words, { cwd: this.directory, encoding: 'utf8' }).trim();
  }

  /** From now on this user is banned. */
  async ban(user, reason) {
    await this.enforce(`${POLICY}\n[[bans]]\nuser = "${user}"\nreason = "${reason}"\n`);
  }

  /** Has a moderator's backend do this to a user: `bans`, `bans/lift`, `mutes`. */
  async moderate(what, user, more) {
    const headers = { 'x-api-key': SERVICE_KEY, 'content-type': 'application/json' };
    const response = await fetch(`${this.url}/v1/moderation/${what}`, { method: 'POST', headers, body: JSON.stringify({ users: [user], ...more }) });
    const { succeeded, failed } = await response.json();
    assert.deepEqual({ succeeded, failed }, { succeeded: [user], failed: [] });
  }

  /** From now on nobody is banned. */
  async pardon() {
    await this.enforce(POLICY);
  }

  async stop() {
    await this.end();
    rmSync(this.directory, { recursive: true });
  }

  write(name, text) {
    writeFileSync(join(this.directory, name), text, { mode: 0o600 });
  }

  /** Waits until this policy is in force, and not merely one that was there before: the log names it by its hash. */
  async enforce(policy) {
    this.write('policy.toml', policy);
    this.child.kill('SIGHUP');
    const hash = createHash('sha256').update(policy).digest('hex');
    await this.says(new RegExp(`read again and is in force.*${hash}`));
  }

  async run() {
    const options = { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] };
    this.child = spawn(PROGRAM, ['serve'], options);
    this.child.on('error', (error) => { throw error; });
    this.lines = createInterface({ input: this.child.stderr })[Symbol.asyncIterator]();
    [, this.url] = await this.says(/listening on (http:\S+) /);
  }

  /** Waits for a line of the program's log. */
  async says(pattern) {
    for (const said = []; ; ) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`it ended and did not say ${pattern}:\n${said.join('\n')}`);
      said.push(value);
      const found = value.match(pattern);
      if (found) return found;
    }
  }

  async end() {
    if (this.child.exitCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }
}

/**
 * The app's own backend and LeanCloud's user service in one: knows whose a session is, and can be down.
 */
export class Backend {
  static async start(users) {
    const backend = new Backend();
    Object.assign(backend, { users, down: false, asked: [] });
    backend.server = createServer((request, response) => backend.answer(request, response));
    backend.server.listen(0, '127.0.0.1');
    await once(backend.server, 'listening');
    backend.url = `http://127.0.0.1:${backend.server.address().port}`;
    return backend;
  }

  answer(request, response) {
    this.asked.push({ path: request.url, headers: request.headers });
    const send = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (this.down) return send(500, {});
    const user = this.users[request.headers['x-lc-session'] ?? request.headers.cookie?.match(/sid=([^;]*)/)?.[1]];
    if (request.url.startsWith('/1.1/users/')) {
      return user ? send(200, { objectId: user, username: user, sessionToken: request.headers['x-lc-session'] }) : send(400, { code: 211, error: 'Could not find user.' });
    }
    return user ? send(200, { id: user }) : send(401, {});
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
