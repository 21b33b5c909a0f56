// A real Synapse with JWT login. It needs Python with the packages of synapse-requirements.txt in the folder `synapse` here; CI makes it
// with `python3 -m venv`. Without it, the tests are skipped; with CI=true they fail.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { jwt } from './support/crypto.js';
import { freePort } from './support/port.js';
import { Signer, SYNAPSE, callerToken } from './support/signer.js';

const PYTHON = process.env.SYNAPSE_PYTHON ?? fileURLToPath(new URL('synapse/bin/python', import.meta.url));
const missing = existsSync(PYTHON) ? false : `SKIPPED: no Synapse: ${PYTHON} does not exist`;
if (missing && process.env.CI === 'true') throw new Error(missing);
if (missing) process.stderr.write(`${missing}\n`);

/** A Synapse with an empty database in a directory of its own. */
class Synapse {
  static async start() {
    const synapse = new Synapse();
    synapse.directory = mkdtempSync(join(tmpdir(), 'chat-signer-synapse-'));
    const port = await freePort();
    synapse.url = `http://127.0.0.1:${port}`;
    const config = join(synapse.directory, 'homeserver.yaml');
    const options = { cwd: synapse.directory, stdio: ['ignore', 'ignore', 'ignore'] };
    const common = ['-m', 'synapse.app.homeserver', '-c', config];
    execFileSync(PYTHON, [...common, '--generate-config', '--server-name', 'club.test', '--report-stats', 'no', '--data-directory', synapse.directory], options);
    // A later key of the file replaces an earlier one.
    appendFileSync(config, `
listeners: [{ port: ${port}, type: http, bind_addresses: ["127.0.0.1"], resources: [{ names: [client] }] }]
trusted_key_servers: []
jwt_config: { enabled: true, secret: "${SYNAPSE.secret}", algorithm: HS256 }
`);
    synapse.child = spawn(PYTHON, common, options);
    await synapse.answers();
    return synapse;
  }

  async answers() {
    const deadline = Date.now() + 90_000;
    for (;;) {
      const answer = await fetch(`${this.url}/health`).catch(() => undefined);
      if (answer?.ok) return;
      if (this.child.exitCode !== null || Date.now() > deadline) throw new Error('Synapse does not start');
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
  }

  async login(token) {
    const body = JSON.stringify({ type: 'org.matrix.login.jwt', token });
    const answer = await fetch(`${this.url}/_matrix/client/v3/login`, { method: 'POST', body });
    return { status: answer.status, ...(await answer.json()) };
  }

  async stop() {
    if (this.child.exitCode === null) {
      this.child.kill('SIGKILL');
      await once(this.child, 'exit');
    }
    rmSync(this.directory, { recursive: true });
  }
}

let signer, synapse;

before(async () => {
  if (!missing) [signer, synapse] = await Promise.all([Signer.start(), Synapse.start()]);
});
after(() => Promise.all([signer?.stop(), synapse?.stop()]));

const ask = async (subject) => {
  const response = await fetch(`${signer.url}/v1/synapse/token`, { method: 'POST', headers: { authorization: `Bearer ${callerToken(subject)}` } });
  return { status: response.status, ...(await response.json()) };
};

test('a token logs its user in', { skip: missing }, async () => {
  const { token } = await ask('tom');
  const { status, user_id, access_token } = await synapse.login(token);
  assert.deepEqual([status, user_id, typeof access_token], [200, '@tom:club.test', 'string']);
  const [header, claims, signature] = token.split('.');
  const other = Buffer.from(JSON.stringify({ sub: 'alice', exp: 4_000_000_000 })).toString('base64url');
  assert.equal((await synapse.login([header, other, signature].join('.'))).status, 403);
  assert.notEqual(claims, other);
});

test('capital letters are refused, because Synapse reads them as small letters', { skip: missing }, async (context) => {
  await synapse.login((await ask('tom')).token);
  const exp = Math.floor(Date.now() / 1000) + 300;
  const { user_id } = await synapse.login(jwt(SYNAPSE.secret, { sub: 'Tom', exp }));
  assert.equal(user_id, '@tom:club.test', 'what another program would sign');
  await signer.ban('tom', 'spam');
  context.after(() => signer.pardon());
  assert.equal((await ask('tom')).status, 403);
  const { status, detail } = await ask('Tom');
  assert.equal(status, 400);
  assert.match(detail, /user_id must be 1 to 128 small letters/);
});
