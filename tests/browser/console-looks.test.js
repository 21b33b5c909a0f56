// How the console looks: every view at a desk and on a phone, by day and by night, in both languages; the keyboard; many entries.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { ConsoleServer, DESK, HALL, PHONE, afterDoublePress, receipt, useConsole, userAt } from './support/console.js';
import { faint, nameless, small, tooWide } from './support/looks.js';

/** Where pictures of all views go, to be looked at. */
const { SCREENSHOTS } = process.env;
/** A checker of accessibility, which runs in the page. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const world = useConsole();
const { consoleOf, clear, bansOf } = world;

/** All views, by name. */
const VIEWS = {
  find: '#/', user: userAt('tom'), ban: userAt('tom').replace('?', '/ban?'), lift: userAt('tom').replace('?', '/lift?kind=ban&'), role: userAt('zoe').replace('?', '/role?'),
  take: userAt('zoe').replace('?', '/take?role=member&'), why: `#/why?user=tom&app=leancloud&action=join&in=${HALL}`, live: '#/live', places: '#/places', place: `#/place/${HALL}`, bans: '#/list/bans', roles: '#/list/roles', queue: '#/queue', you: '#/you', missing: '#/nowhere',
};

describe('how it looks', () => {
  before(async () => {
    await clear('tom');
    await world.server.as('bob', 'bans', { users: ['tom'], conversation: HALL, reason: 'Spam in three messages', until: '2099-01-01T00:00:00Z' });
    await world.server.api('mutes', { users: ['tom'], reason: 'loud' });
    world.server.vendor.status = 401;
    await world.server.api('bans', { users: ['eve'], conversation: HALL, reason: 'insults' });
  });
  after(async () => {
    world.server.vendor.status = 200;
    await world.server.api('mutes/lift', { users: ['tom'] });
    await clear('tom');
  });

  const looks = [['desk', DESK, 'light', 'en'], ['desk', DESK, 'dark', 'zh'], ['phone', PHONE, 'light', 'zh'], ['phone', PHONE, 'dark', 'en']];
  for (const [place, viewport, colorScheme, language] of looks) {
    test(`every view: ${place}, ${colorScheme}, ${language}`, async () => {
      const { context, page, wrong } = await consoleOf('ada', '#/', { viewport, colorScheme, locale: language === 'zh' ? 'zh-CN' : 'en-GB' });
      await page.evaluate(AXE);
      for (const [name, hash] of Object.entries(VIEWS)) {
        await page.evaluate((address) => (location.hash = address), hash);
        await page.locator(`#main[data-ready="${hash.replace(/["\\]/g, '\\$&')}"]`).waitFor({ state: 'attached' });
        if (/\/(ban|lift|role|take)\?/.test(hash)) await page.locator('#sheet-title').waitFor();
        for (const look of [faint, tooWide, nameless, small]) assert.deepEqual(await page.evaluate(look), [], `${name}: ${look.name}`);
        const { violations } = await page.evaluate(() => axe.run(document, { rules: { region: { enabled: false } } }));
        assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 120))]), [], name);
        if (language === 'zh') assert.deepEqual(await page.evaluate(englishIn), [], name);
        if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `console-${place}-${colorScheme}-${language}-${name}.png`) });
      }
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }

  /** English words in the texts of the page, but not in ids and in what users or the server wrote. Runs in the page. */
  function englishIn() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { parentElement: parent, data } = walker.currentNode;
      if (parent.closest('bdi, q, code, kbd, time, [lang=en], .brand, #nav::before, script, noscript, option, .avatar')) continue;
      const words = data.match(/[A-Za-z]{3,}/g)?.filter((word) => !['guest', 'member', 'moderator', 'manager', 'administrator', 'owner', 'leancloud', 'talkjs', 'sessions', 'Asia', 'Shanghai', 'Webhook', 'UTC', 'ada'].includes(word) && !/^[a-z-]+$/.test(data.trim()));
      if (words?.length && !/[a-f0-9]{16}/.test(data) && !/-/.test(data)) found.push(data);
    }
    return found;
  }

  test('large text and a narrow window cut nothing off', async () => {
    const { context, page } = await consoleOf('ada', '#/', { viewport: { width: 320, height: 640 } });
    for (const size of ['100%', '200%']) {
      await page.evaluate((value) => (document.documentElement.style.fontSize = value), size);
      for (const [name, hash] of Object.entries(VIEWS)) {
        await page.evaluate((address) => (location.hash = address), hash);
        await page.locator(`#main[data-ready="${hash}"]`).waitFor({ state: 'attached' });
        assert.deepEqual(await page.evaluate(tooWide), [], `${name} at ${size}`);
      }
    }
    await context.close();
  });

  test('forced colours keep the marks', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'), { forcedColors: 'active' });
    const widths = await page.locator('.chip').evaluateAll((all) => all.map((chip) => parseFloat(getComputedStyle(chip).borderTopWidth)));
    assert.ok(widths.length > 0 && widths.every((width) => width >= 1));
    await context.close();
  });
});

test('the keyboard is all it takes', async () => {
  await clear('tom');
  const { context, page, wrong } = await consoleOf('bob', '#/places');
  await page.keyboard.press('/');
  await page.locator('#search:focus').waitFor();
  await page.keyboard.type('tom');
  await page.keyboard.press('Enter');
  await page.locator('#ban').waitFor();
  await page.keyboard.press('b');
  await page.locator('#sheet-title:focus').waitFor();
  await page.keyboard.press('1');
  await afterDoublePress(page);
  await page.keyboard.press('Control+Enter');
  await page.locator('#undo:focus').waitFor();
  assert.equal((await bansOf('tom')).length, 1);
  await page.keyboard.press('Enter');
  await receipt(page).getByText('Undone.').waitFor();
  assert.deepEqual(await bansOf('tom'), []);
  await page.keyboard.press('m');
  await page.locator('#sheet-title:focus').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#sheet').waitFor({ state: 'hidden' });
  await page.locator('#heading:focus').waitFor();
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const { activeElement: at } = document;
      if (at === document.body) return true;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
    });
    assert.ok(seen);
  }
  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await page.locator('h1', { hasText: 'Places' }).waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test('ten thousand entries', async () => {
  const many = await ConsoleServer.start();
  for (let hundred = 0; hundred < 100; hundred += 1) {
    const users = Array.from({ length: 100 }, (_, number) => `user-${hundred * 100 + number}`);
    await many.api('bans', { users, conversation: 'chat:big', reason: 'spam' });
  }
  const { context, page } = await many.open(world.browser, 'ada', '#/list/bans', { viewport: PHONE });
  await page.getByText('50 entries shown; there are more').waitFor();
  assert.equal(await page.locator('.entry').count(), 50);
  await page.getByRole('button', { name: 'Show 50 more' }).click();
  await page.locator('.entry').nth(99).waitFor({ state: 'attached' });
  let searches = 0;
  page.on('request', (request) => (searches += request.url().includes('/users?')));
  await page.goto(`${many.url}/console#/`);
  await page.getByRole('combobox').click();
  await page.locator('#search').evaluate((field) => {
    for (let end = 1; end <= 9; end += 1) {
      field.value = 'user-9999'.slice(0, end);
      field.dispatchEvent(new Event('input', { bubbles: true }));
    }
  });
  await page.getByRole('option', { name: /^user-9999/ }).first().waitFor();
  assert.equal(searches, 1);
  await page.keyboard.press('ArrowDown');
  assert.ok(await page.locator('#search').getAttribute('aria-activedescendant'));
  await page.keyboard.press('Enter');
  await page.locator('h1', { hasText: 'user-9999' }).waitFor();
  await context.close();
  await many.stop();
});
