// The playground, with a mouse and a keyboard, at a desk and on a phone, by day and by night.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { Signer } from '../sdk/support/signer.js';
import { launch, open } from './support/chromium.js';
import { faint, nameless, tooWide } from './support/looks.js';

/** Where pictures of all examples go, to be looked at. */
const { SCREENSHOTS } = process.env;
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };
const GROUP = '5f3c2a1b9e8d7c6b5a493827';

let browser, demonstration;
before(async () => {
  [browser, demonstration] = await Promise.all([launch(), Signer.demonstration()]);
});
after(async () => {
  await browser?.close();
  await demonstration?.stop();
});

/** The page, ready for use. */
async function playground({ hash = '', server = demonstration, ...options } = {}) {
  const opened = await open(browser, { viewport: DESK, ...options });
  await opened.page.goto(`${server.url}/playground${hash}`);
  await answered(opened.page);
  return opened;
}

/** Waits until what is shown is the answer to what was asked last. */
const answered = (page) => page.locator('#steps:not([aria-busy])').waitFor({ state: 'attached' });

const word = (page) => page.locator('#verdict .word').innerText();
const step = (page, number) => page.locator('#steps > li').nth(number - 1);

async function example(page, name) {
  await page.getByRole('button', { name, exact: true }).click();
  await answered(page);
}

async function ask(page) {
  await page.getByRole('button', { name: /^Send/ }).click();
  await answered(page);
}

const EXAMPLES = [
  ['alice logs in', 'Allowed', /alice may log in/, '200 OK'],
  ['tom kicks bob: refused', 'Denied', /“Managers and owners remove and block members whom they outrank.”/, '403 Forbidden'],
  ['bob kicks tom', 'Allowed', /bob may kick tom/, '200 OK'],
  ['mallory is banned', 'Banned', /mallory is banned/, '403 Forbidden'],
  ['An Ably token, partly granted', 'Partly granted', /Withheld\s+chat:lobby message-delete-any/, '200 OK'],
  ['The same, as a moderator', 'Allowed', /Granted\s+chat:lobby publish, subscribe, message-delete-any/, '200 OK'],
  ['A TalkJS token for zoe', 'Allowed', /zoe may log in/, '200 OK'],
  ['A LiveKit room', 'Allowed', /tom may have a token for chat:lobby|tom may join chat:lobby/, '200 OK'],
  ['A presence channel at Pusher', 'Allowed', /tom may/, '200 OK'],
  ['A backend acts for tom', 'Allowed', /The service orders, for tom, may read the history/, '200 OK'],
];

for (const [place, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
  for (const colorScheme of ['light', 'dark']) {
    test(`the examples, ${place}, ${colorScheme}`, async () => {
      const { context, page, wrong } = await playground({ viewport, colorScheme });
      for (const [number, [name, verdict, sentence, status]] of EXAMPLES.entries()) {
        await example(page, name);
        assert.match(await word(page), new RegExp(`${verdict}$`), name);
        assert.match(await page.locator('#verdict').innerText(), sentence);
        assert.equal(await step(page, 5).locator('.headline').innerText(), status);
        assert.deepEqual(await page.evaluate(tooWide), [], name);
        assert.deepEqual(await page.evaluate(faint), [], name);
        if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${place}-${colorScheme}-${number}.png`), fullPage: true });
      }
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }
}

describe('each step', () => {
  test('tells who asked what', async () => {
    const { context, page } = await playground();
    await example(page, 'tom kicks bob: refused');
    assert.match(await step(page, 1).innerText(), /tom, a user, authenticated by demo[^]*"sub": "tom"/);
    assert.match(await step(page, 2).innerText(), /POST \/v1\/leancloud\/kick\n[^]*\{"conv_id":"5f3c2a1b9e8d7c6b5a493827","members":\["bob"\]\}/);
    await context.close();
  });

  test('has the word of every rule', async () => {
    const { context, page } = await playground();
    await example(page, 'tom kicks bob: refused');
    const told = await step(page, 3).innerText();
    assert.match(told, /tom is member by the conversation's list\s+bob is manager by the conversation's list/);
    assert.match(told, /managers-kick would allow; comes nearest\s+roles needs role manager, administrator or owner; tom is member/);
    assert.match(told, /nobody-is-added-to-open-rooms would deny\s+kinds needs kind chatroom or system/);
    const rules = ['everyone-logs-in', 'managers-kick', 'services-act-for-anyone'];
    for (const rule of rules) assert.ok(told.includes(rule), rule);
    assert.match(await step(page, 4).innerText(), /Nothing is signed/);
    await context.close();
  });

  test('folds the rules for other apps', async () => {
    const { context, page } = await playground();
    await example(page, 'tom kicks bob: refused');
    assert.ok(!(await step(page, 3).innerText()).includes('everyone-has-a-channel'));
    await step(page, 3).getByText('4 rules are not for the app leancloud').click();
    assert.match(await step(page, 3).innerText(), /everyone-has-a-channel would allow\s+actions is not about kick/);
    await context.close();
  });

  test('shows the text of a rule, and leads to the documentation', async () => {
    const { context, page } = await playground();
    await example(page, 'tom kicks bob: refused');
    await step(page, 3).getByText('managers-kick in the policy').click();
    const text = await step(page, 3).locator('li', { hasText: 'managers-kick' }).locator('pre').innerText();
    assert.match(text, /^\[\[rules\]\]\nid = "managers-kick"\neffect = "allow"\nactions = \["kick", "block-clients", "unblock-clients"\]\n[^]*targets = "outranked"\n/);
    await page.getByRole('link', { name: 'How the policy decides' }).click();
    await page.getByText('# Policy').waitFor();
    await context.close();
  });

  test('opens by a click', async () => {
    const { context, page } = await playground();
    await example(page, 'An Ably token, partly granted');
    const things = step(page, 3).locator('details.thing');
    assert.deepEqual(await things.evaluateAll((all) => all.map((one) => one.open)), [false, false, false, true, false]);
    await things.nth(1).locator('> summary').click();
    assert.match(await things.nth(1).innerText(), /everyone-chats allows it/);
    await context.close();
  });

  test('shows the string that was signed, checked', async () => {
    const { context, page } = await playground();
    await example(page, 'bob kicks tom');
    const { nonce, timestamp } = JSON.parse((await step(page, 5).locator('pre').innerText()).match(/\{[^]*\}/)[0]);
    const signed = await step(page, 4).innerText();
    assert.ok(signed.includes(`demonstration-leancloud-app:bob:${GROUP}:tom:${timestamp}:${nonce}:kick`), signed);
    assert.match(signed, /HMAC-SHA1 with the app's master key[^]*The server computed it again, and it is the one in the answer/);
    await example(page, 'A TalkJS token for zoe');
    assert.match(await step(page, 4).innerText(), /"tokenType": "user",\s+"iss": "demonstration-talkjs-app",\s+"sub": "zoe"/);
    await context.close();
  });

  test('can be had in a terminal', async () => {
    const { context, page } = await playground({ permissions: ['clipboard-read', 'clipboard-write'] });
    await example(page, 'A backend acts for tom');
    await page.getByRole('button', { name: 'Copy the curl command' }).click();
    await page.getByText('Copied').waitFor();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    const answer = JSON.parse(execFileSync('sh', ['-c', line], { encoding: 'utf8' }));
    assert.deepEqual(Object.keys(answer), ['signature', 'timestamp', 'nonce']);
    await context.close();
  });
});

describe('the keyboard', () => {
  test('is all it takes', async () => {
    const { context, page, wrong } = await playground();
    await page.getByLabel('Name').focus();
    const type = async (text) => {
      await page.keyboard.press('ControlOrMeta+a');
      await page.keyboard.type(text);
    };
    await type('carol');
    await page.keyboard.press('Tab'); // role
    await page.keyboard.press('Tab'); // app
    await page.keyboard.type('leancloud');
    await page.keyboard.press('Tab'); // action
    await page.keyboard.type('history');
    await page.keyboard.press('Tab'); // client
    await page.keyboard.press('Tab'); // conversation
    await type(GROUP);
    assert.equal(await page.locator('#stale').isVisible(), true);
    await page.keyboard.press('Control+Enter');
    await answered(page);
    assert.match(await page.locator('#verdict').innerText(), /Allowed\s+carol may read the history/);
    assert.equal(await page.locator('#stale').isVisible(), false);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('goes through the page from top to bottom, and shows where it is', async () => {
    const { context, page } = await playground();
    const passed = [];
    for (let presses = 0; presses < 40; presses += 1) {
      await page.keyboard.press('Tab');
      const here = await page.evaluate(() => {
        const { activeElement: at } = document;
        if (at === document.body) return null;
        const shown = at.matches('[type=radio]') ? at.nextElementSibling : at;
        const style = getComputedStyle(shown);
        return { name: at.id || at.textContent.trim(), top: Math.round(at.getBoundingClientRect().top + scrollY), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
      });
      if (!here) break;
      passed.push(here);
    }
    assert.deepEqual(passed.filter((place) => !place.outline), []);
    const names = passed.map((place) => place.name);
    const order = ['as', 'role', 'app', 'action', 'client_id'];
    const at = names.indexOf('as');
    assert.deepEqual(names.slice(at, at + order.length), order);
    assert.equal(names[0], 'alice logs in');
    await context.close();
  });

  test('and a screen reader find everything by name', async () => {
    const { context, page } = await playground();
    for (const [name] of EXAMPLES) {
      await example(page, name);
      assert.deepEqual(await page.evaluate(nameless), []);
    }
    const status = page.getByRole('status');
    assert.equal(await status.getAttribute('aria-live'), 'polite');
    assert.match(await status.innerText(), /Allowed/);
    assert.equal(await page.locator('h1').count(), 1);
    await context.close();
  });
});

describe('a moderator', () => {
  const JOIN = `#${new URLSearchParams({ as: 'tom', app: 'leancloud', action: 'join', conv_id: GROUP })}`;
  const verdict = (page, text) => page.locator('#verdict').getByText(text).first().waitFor();
  const entry = (page, text) => page.locator('#entries').getByText(text).waitFor();

  /** A server for each test, so that no test sees the entries of another. */
  let server;
  beforeEach(async () => (server = await Signer.demonstration()));
  afterEach(() => server.stop());

  async function moderation(options) {
    const opened = await playground({ hash: JOIN, server, ...options });
    await opened.page.getByText('Ban, mute, or give a role').click();
    await opened.page.getByText('No entries yet.').waitFor();
    return opened;
  }

  for (const [place, viewport, colorScheme] of [['desk', DESK, 'light'], ['phone', PHONE, 'dark']]) {
    test(`bans tom, sees the effect, and takes it back, ${place}, ${colorScheme}`, async () => {
      const { context, page, wrong } = await moderation({ viewport, colorScheme });
      await page.getByLabel('Reason').fill('spam of a test');
      await page.getByRole('button', { name: 'Apply', exact: true }).click();
      await verdict(page, 'Banned');
      await page.getByText('“spam of a test”').waitFor();
      await entry(page, /tom is banned everywhere, by orders: spam of a test/);
      assert.deepEqual(await page.evaluate(tooWide), []);
      assert.deepEqual(await page.evaluate(faint), []);
      assert.deepEqual(await page.evaluate(nameless), []);
      if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${place}-${colorScheme}-moderation.png`), fullPage: true });
      await page.getByRole('button', { name: 'Lift: tom is banned' }).click();
      await verdict(page, 'Allowed');
      await page.getByText('No entries yet.').waitFor();
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }

  test('leads to the console, with a token to sign in there', async () => {
    const { context, page, wrong } = await playground();
    await page.evaluate(() => (navigator.clipboard.writeText = async (text) => (window.copied = text)));
    await page.getByText('Ban, mute, or give a role').click();
    await page.getByRole('button', { name: 'Copy a token of alice' }).click();
    await page.waitForFunction(() => window.copied);
    const token = await page.evaluate(() => window.copied);
    await page.getByRole('link', { name: 'the console' }).click();
    await page.locator('#token').fill(token);
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.getByRole('link', { name: 'alice: your settings' }).waitFor();
    await page.getByRole('heading', { name: 'Find' }).waitFor();
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('gives a role, which takes effect', async () => {
    const capability = '{"chat:lobby": ["message-delete-any"]}';
    const { context, page } = await moderation({ hash: `#${new URLSearchParams({ as: 'zoe', app: 'ably', action: 'token', capability })}` });
    await verdict(page, 'Denied');
    await page.getByLabel('Change').selectOption('Give a role');
    await page.getByLabel('User', { exact: true }).fill('zoe');
    await page.getByLabel('Role', { exact: true }).selectOption('moderator');
    await page.getByLabel('In the conversation').fill('chat:lobby');
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await verdict(page, 'Allowed');
    await entry(page, /zoe has the role moderator in chat:lobby, by orders/);
    await page.getByRole('button', { name: 'Remove: zoe has the role' }).click();
    await verdict(page, 'Denied');
    await page.getByText('No entries yet.').waitFor();
    await context.close();
  });

  test('sees the entries also where the verdict takes long', async () => {
    const { context, page } = await moderation();
    let go;
    const held = new Promise((done) => (go = done));
    await page.route('**/v1/leancloud/join', async (route) => { await held; await route.continue(); });
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await entry(page, /tom is banned everywhere, by orders/);
    go();
    await verdict(page, 'Banned');
    await context.close();
  });

  test('who may not is told why', async () => {
    const { context, page } = await moderation();
    await page.getByLabel('Moderator').selectOption('bob');
    await page.getByLabel('User', { exact: true }).fill('alice');
    await page.getByLabel('In the conversation').fill(GROUP);
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await page.locator('#moderated').getByText('outrank').waitFor();
    await context.close();
  });
});

test('the root leads to the page, and each action has its own fields', async () => {
  const { context, page, wrong } = await open(browser, { viewport: DESK });
  await page.goto(demonstration.url);
  await answered(page);
  assert.equal(new URL(page.url()).pathname, '/playground');
  const shown = async (app, action) => {
    await page.getByLabel('App').selectOption(app);
    await page.getByLabel('Action').selectOption(action);
    return page.locator('#fields label').allInnerTexts();
  };
  assert.deepEqual(await shown('pusher', 'channel-auth'), ['socket_id', 'channel_name', 'Client']);
  assert.deepEqual(await shown('livekit', 'token'), ['room_name', 'Client', 'Lifetime']);
  assert.deepEqual(await shown('stream', 'token'), ['Client', 'call_cids', 'Lifetime']);
  await page.getByLabel('call_cids').fill('default:one, default:two');
  await ask(page);
  assert.match(await step(page, 2).innerText(), /"call_cids":\["default:one","default:two"\]/);
  assert.deepEqual(wrong, []);
  await context.close();
});

describe('a situation', () => {
  test('is in the address, and comes back from it', async () => {
    const { context, page } = await playground();
    await example(page, 'tom kicks bob: refused');
    const hash = new URL(page.url()).hash;
    await context.close();
    const again = await playground({ hash });
    assert.equal(new URL(again.page.url()).hash, hash);
    assert.match(await word(again.page), /Denied$/);
    assert.equal(await again.page.getByLabel('Members').inputValue(), 'bob');
    const current = again.page.locator('#examples [aria-current]');
    assert.equal(await current.innerText(), 'tom kicks bob: refused');
    await again.context.close();
  });

  test('chosen field by field with the mouse', async () => {
    const { context, page } = await playground();
    await page.getByLabel('A service').check();
    await page.getByLabel('App').selectOption('ably');
    await page.getByLabel('Client').fill('*');
    await page.getByLabel('Capability').fill('{"chat:*": ["*"]}');
    await page.getByLabel('Lifetime').fill('10m');
    await ask(page);
    assert.match(await page.locator('#verdict').innerText(), /Partly granted\s+The service orders, for \*, may log in/);
    assert.match(await step(page, 4).innerText(), /"x-ably-clientId": "\*"/);
    await context.close();
  });

  test('that can’t be asked says what is wrong', async () => {
    const { context, page, wrong } = await playground({ hash: '#as=tom&app=ably&action=token' });
    for (const [label, text, said] of [
      ['Capability', '{"chat', /Not sent\s+The capability is not JSON/],
      ['Capability', '{"chat:x": []}', /Refused\s+The request was refused before the policy decision: capability/],
      ['Name', '', /Not sent\s+This caller is not valid: subject must not be empty/],
    ]) {
      const before = await page.getByLabel(label).inputValue();
      await page.getByLabel(label).fill(text);
      await ask(page);
      assert.match(await page.locator('#verdict').innerText(), said);
      await page.getByLabel(label).fill(before);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('that the form doesn’t have is not taken for another', async () => {
    for (const [hash, said] of [
      ['#as=tom&role=king&app=leancloud&action=login', 'role king'],
      ['#service=nobody&app=leancloud&action=login&client_id=tom', 'service nobody'],
      ['#as=tom&app=slack&action=login', 'app slack'],
      ['#as=tom&app=talkjs&action=kick', 'action kick'],
    ]) {
      const { context, page, wrong } = await playground({ hash });
      assert.match(await page.locator('#verdict').innerText(), new RegExp(`Not sent\\s+The address names the ${said}, which does not exist here`));
      assert.equal(new URL(page.url()).hash, hash);
      await example(page, 'alice logs in');
      assert.match(await word(page), /Allowed$/);
      assert.deepEqual(wrong, []);
      await context.close();
    }
  });

  test('with markup in it is text', async () => {
    const name = '<img src=x onerror=console.error(1)>';
    const { context, page, wrong } = await playground({ hash: `#${new URLSearchParams({ as: name, app: 'leancloud', action: 'join', conv_id: `${name}'` })}` });
    assert.ok((await page.locator('#verdict').innerText()).includes(name));
    assert.equal(await page.locator('img').count(), 0);
    assert.deepEqual(wrong, []);
    await context.close();
  });
});

test('no other page can frame it, or use it', async () => {
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { context, page } = await open(browser);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const outcome = await page.evaluate(async (url) => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    await new Promise((done) => {
      frame.onload = done;
      frame.src = `${url}/playground`;
    });
    const token = await fetch(`${url}/playground/token`, { method: 'POST', body: '{"subject":"tom"}' }).then(() => 'answered', () => 'refused');
    return { token, world: await fetch(`${url}/playground/world`).then(() => 'answered', () => 'refused') };
  }, demonstration.url);
  assert.deepEqual(outcome, { token: 'refused', world: 'refused' });
  const framed = page.frames().find((frame) => frame !== page.mainFrame());
  assert.equal(await framed.locator('h1', { hasText: 'Who can' }).count(), 0);
  await context.close();
  server.close();
});

test('a server that is gone is told', async () => {
  const other = await Signer.demonstration();
  const { context, page } = await open(browser);
  await page.goto(`${other.url}/playground`);
  await answered(page);
  await other.stop();
  await page.getByRole('button', { name: /^Send/ }).click();
  await page.getByText('Is the server still running?').waitFor();
  await context.close();
});
