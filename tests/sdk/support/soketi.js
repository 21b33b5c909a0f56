// A real Soketi, from the packages of `tests/sdk/soketi`. Without them, tests are skipped; with CI=true they fail.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import PusherServer from 'pusher';

import { freePort } from './port.js';
import { PUSHER } from './signer.js';

const PROGRAM = fileURLToPath(new URL('../soketi/node_modules/@soketi/soketi/bin/server.js', import.meta.url));

/** Why there is no Soketi, or false. */
export const missing = existsSync(PROGRAM) ? false : 'SKIPPED: no Soketi: run `npm ci --ignore-scripts --prefix tests/sdk/soketi`';
if (missing && process.env.CI === 'true') throw new Error(missing);
if (missing) process.stderr.write(`${missing}\n`);

export class Soketi {
  /** One that has this app, with client events and sign-in. */
  static async start({ appId, key, secret, encryptionKey } = PUSHER) {
    const soketi = new Soketi();
    soketi.directory = mkdtempSync(join(tmpdir(), 'chat-signer-soketi-'));
    soketi.port = await freePort();
    soketi.url = `http://127.0.0.1:${soketi.port}`;
    const app = { id: appId, key, secret, enableClientMessages: true, enableUserAuthentication: true };
    const config = join(soketi.directory, 'config.json');
    writeFileSync(config, JSON.stringify({ host: '127.0.0.1', port: soketi.port, 'appManager.array.apps': [app] }));
    soketi.child = spawn(process.execPath, [PROGRAM, 'start', `--config=${config}`], { stdio: 'ignore' });
    /** The app's backend, which publishes. */
    soketi.backend = new PusherServer({ appId, key, secret, host: '127.0.0.1', port: soketi.port, useTLS: false, encryptionMasterKeyBase64: encryptionKey });
    await soketi.answers();
    return soketi;
  }

  /** Waits until it answers. */
  async answers() {
    const deadline = Date.now() + 60_000;
    for (;;) {
      const answer = await fetch(this.url).catch(() => undefined);
      if (answer?.ok) return;
      if (this.child.exitCode !== null || Date.now() > deadline) throw new Error('Soketi does not start');
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }

  /** Ends it. It does not end by SIGTERM, and a Soketi that is left over shares its port with later ones. */
  async stop() {
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    rmSync(this.directory, { recursive: true });
  }
}
