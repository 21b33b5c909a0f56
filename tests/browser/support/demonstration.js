// The demonstration as it is shipped, on ports that the system chooses.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const PROGRAM = process.env.CHAT_SIGNER ?? join(ROOT, 'target/debug/chat-signer');

export class Demonstration {
  static async start() {
    const it = new Demonstration();
    it.directory = mkdtempSync(join(tmpdir(), 'chat-signer-browser-'));
    const configuration = readFileSync(join(ROOT, 'signer.toml'), 'utf8')
      .replace(/127\.0\.0\.1:748\d/g, '127.0.0.1:0')
      .replace('file = "policy.toml"', `file = "${join(ROOT, 'policy.toml')}"`)
      .replaceAll('"deploy/demo/', `"${join(ROOT, 'deploy/demo/')}`);
    writeFileSync(join(it.directory, 'signer.toml'), configuration);
    it.child = spawn(PROGRAM, ['serve'], { cwd: it.directory, stdio: ['ignore', 'ignore', 'pipe'] });
    it.url = await address(it.child);
    return it;
  }

  async stop() {
    if (this.child.exitCode === null) {
      this.child.kill('SIGKILL');
      await once(this.child, 'exit');
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Where a program that has just been started says that it listens. */
async function address(child) {
  const said = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    const url = line.match(/listening on (http:\S+) /)?.[1];
    if (url) {
      child.stderr.resume();
      return url;
    }
  }
  throw new Error(`it did not start:\n${said.join('\n')}`);
}
