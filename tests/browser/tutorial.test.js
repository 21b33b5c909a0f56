// Runs docs/tutorial.md from its first command to its last, in one shell, and uses its page in Chromium.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { WebSocket } from '../sdk/node_modules/ws/wrapper.mjs';
import { Ably } from '../sdk/support/ably.js';
import { ABLY } from '../sdk/support/signer.js';
import { launch, open } from './support/chromium.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = process.env.CHAT_SIGNER ?? join(ROOT, 'target/debug/chat-signer');

/** The program is already built, and the packages are those of tests/sdk. */
const PRELUDE = `
set -euo pipefail
cargo() { :; }
npm() { exec node examples/tutorial/app.js; }
`;

let browser, cloud, directory, shell, ports;
before(async () => {
  [browser, cloud, ports] = await Promise.all([launch(), Ably.start(), freePorts(['7480', '7481', '7490'])]);
  directory = mkdtempSync(join(tmpdir(), 'chat-signer-tutorial-'));
  mkdirSync(join(directory, 'examples'));
  mkdirSync(join(directory, 'bin'));
  symlinkSync(PROGRAM, join(directory, 'bin/chat-signer'));
  cpSync(join(ROOT, 'examples/tutorial'), join(directory, 'examples/tutorial'), { recursive: true });
  for (const file of ['app.js', 'index.html']) edit(`examples/tutorial/${file}`, withFreePorts);
  symlinkSync(join(ROOT, 'tests/sdk/node_modules'), join(directory, 'examples/tutorial/node_modules'));
  shell = new Shell();
});
after(async () => {
  shell?.stop();
  await Promise.all([browser?.close(), cloud?.stop()]);
  if (directory) rmSync(directory, { recursive: true });
});

/** Returns a free port for each of these ports. */
async function freePorts(names) {
  const servers = names.map(() => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const found = names.map((name, index) => [name, `${servers[index].address().port}`]);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return Object.fromEntries(found);
}

const withFreePorts = (text) => text.replace(/\b(7480|7481|7490)\b/g, (port) => ports[port]);

function edit(file, change) {
  const path = join(directory, file);
  writeFileSync(path, change(readFileSync(path, 'utf8')));
}

/** One shell for all commands. */
class Shell {
  constructor() {
    const env = { PATH: `${join(directory, 'bin')}:${process.env.PATH}`, ABLY_KEY: `${ABLY.keyName}:${ABLY.secret}` };
    this.child = spawn('bash', ['-s'], { cwd: directory, env, detached: true });
    this.child.stdin.write(`exec 2>&1\n${PRELUDE}`);
    this.exit = once(this.child, 'exit');
    this.output = '';
    this.child.stdout.on('data', (text) => (this.output += text));
  }

  /** Runs commands, and returns what they print. */
  async run(text) {
    this.output = '';
    this.child.stdin.write(`${text}\necho; echo DONE\n`);
    while (!this.output.endsWith('\nDONE\n')) {
      await Promise.race([once(this.child.stdout, 'data'), this.exit]);
      assert.equal(this.child.exitCode, null, `a command fails:\n${text}\n${this.output}`);
    }
    return this.output.slice(0, -'\nDONE\n'.length).trim();
  }

  /** Ends all processes of the shell. */
  stop() {
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

/** The blocks of a page: the heading above, the language, and the text. */
function blocks(page) {
  const parts = page.matchAll(/^## (.*)$|^```(\w+)\n([^]*?)^```$/gm);
  let heading = '';
  return [...parts].flatMap(([, title, language, text]) => {
    heading = title ?? heading;
    return title ? [] : [{ heading, language, text: text.trim() }];
  });
}

/** Compares an output with the documented one, in which `…` stands for any text. */
function assertOutput(output, documented, commands) {
  const pattern = documented.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*');
  assert.match(output, new RegExp(`^${pattern}$`), commands);
}

/** Opens the page of the app as a user. Its connection to Ably goes to the Ably on loopback. */
async function visit(user) {
  const opened = await open(browser);
  await opened.page.routeWebSocket(/./, (socket) => {
    const { search } = new URL(socket.url());
    const server = new WebSocket(`ws://127.0.0.1:${cloud.port}/${search}`);
    server.onmessage = ({ data }) => socket.send(`${data}`);
    const ready = new Promise((resolve) => (server.onopen = resolve));
    socket.onMessage((data) => ready.then(() => server.send(data)));
    socket.onClose(() => server.close());
  });
  await opened.page.goto(`http://127.0.0.1:${ports['7490']}/?as=${user}`);
  return opened;
}

const says = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();

/** Two users chat. */
async function chat() {
  const [tom, alice] = await Promise.all([visit('tom'), visit('alice')]);
  await Promise.all([says(tom.page, 'connected as tom'), says(alice.page, 'connected as alice')]);
  await tom.page.getByLabel('Message').fill('hello');
  await tom.page.getByRole('button', { name: 'Send' }).click();
  for (const { page } of [tom, alice]) assert.equal(await page.getByRole('listitem').innerText(), 'tom: hello');
  await Promise.all([tom, alice].map(({ context }) => context.close()));
}

test('the tutorial does what it says', async () => {
  const page = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
  let last;
  for (const { heading, language, text } of blocks(page)) {
    switch (language) {
      case 'bash': {
        if (heading.startsWith('8.')) await chat();
        const commands = withFreePorts(text);
        last = { commands, output: await shell.run(commands) };
        if (heading.startsWith('2.') && text.includes(' init ')) edit('chat/signer.toml', withFreePorts);
        if (heading.startsWith('8.')) {
          const { context, page: banned } = await visit('tom');
          await says(banned, /^banned until \d{4}-.*: sleeping it off$/);
          await context.close();
        }
        break;
      }
      case 'text':
        assertOutput(last.output, text, last.commands);
        break;
      case 'js':
        assert.ok(readFileSync(join(ROOT, 'examples/tutorial/index.html'), 'utf8').replace(/^ {2}/gm, '').includes(text), 'the page has this code');
        break;
      default:
        assert.fail(`unknown language: ${language}`);
    }
  }
  assert.equal(await shell.run('jobs -r'), '', 'everything has stopped');
});
