// The security of the console: hostile texts, credentials, other tabs and other pages.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';

import { open } from './support/chromium.js';
import { DESK, HALL, PHONE, callerToken, ready, useConsole, userAt } from './support/console.js';
import { tooWide } from './support/looks.js';

const world = useConsole();
const { consoleOf, clear, bansOf } = world;

describe('security', () => {
  test('hostile texts are only text', async () => {
    const texts = ['<img src=x onerror=console.error(1)>', 'javascript:alert(1)', '"><svg/onload=console.error(2)>', '{{7*7}}', 'W'.repeat(255), 'a/b?c#d%25', '中文用户'];
    const { context, page, wrong } = await consoleOf('ada');
    for (const text of texts) {
      const conversation = `chat:${text.replaceAll('*', 'x')}`.slice(0, 255);
      await world.server.api('bans', { users: [text], conversation, reason: text.slice(0, 255) });
      await page.evaluate((user) => (location.hash = `#/user/${encodeURIComponent(user)}`), text);
      await page.locator('.entry').first().waitFor();
      await page.locator('h1').getByText(text, { exact: true }).waitFor();
      await page.locator('.reason', { hasText: text.slice(0, 255) }).first().waitFor();
      assert.deepEqual(await page.evaluate(tooWide), []);
      await page.evaluate((id) => (location.hash = `#/place/${encodeURIComponent(id)}`), conversation);
      await page.locator('h1', { hasText: conversation }).waitFor();
      assert.equal(await page.locator('img, svg, a[href^="javascript"]').count(), 0);
      await world.server.api('bans/lift', { users: [text], conversation });
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('characters that nobody sees are shown', async () => {
    const { context, page } = await consoleOf('ada', `#/user/${encodeURIComponent('to\u202em')}`);
    assert.equal(await page.locator('h1').innerText(), 'toU+202Em');
    await page.getByText('This id contains characters that cannot be seen.').waitFor();
    await page.goto(`${world.server.url}/console#/user/${encodeURIComponent('t\u043em')}`);
    await page.getByText('This id mixes alphabets.').first().waitFor();
    await context.close();
  });

  test('a token is kept nowhere, and signing out forgets it', async () => {
    const token = callerToken('alice');
    const { context, page } = await world.server.open(world.browser, null, userAt('tom'), { viewport: DESK });
    const urls = [];
    page.on('request', (request) => urls.push(request.url()));
    await page.getByLabel('Paste a token').fill('nonsense');
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.getByText('the server does not accept this sign-in').waitFor();
    await page.getByLabel('Paste a token').fill(token);
    await page.getByRole('button', { name: 'Use this token' }).click();
    await page.locator('h1', { hasText: 'tom' }).waitFor();
    await ready(page);
    const kept = async () => {
      const parts = await page.evaluate(async () => [location.href, JSON.stringify(history.state), JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, name, document.documentElement.outerHTML, JSON.stringify(await indexedDB.databases())]);
      return [...parts, ...urls].filter((part) => part?.includes(token));
    };
    assert.deepEqual(await kept(), []);
    await page.getByRole('link', { name: /your settings/ }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').first().waitFor();
    assert.deepEqual(await kept(), []);
    await page.reload();
    await page.getByLabel('Paste a token').waitFor();
    await context.close();
  });

  test('signing out reaches the other tab', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'));
    const other = await context.newPage();
    await other.goto(`${world.server.url}/console#/you`);
    await other.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').first().waitFor();
    assert.ok(!(await page.locator('body').innerText()).includes('tom'));
    await context.close();
  });

  test('another caller after signing in again sees nothing of the first', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'));
    await context.clearCookies();
    await page.getByRole('link', { name: 'Live' }).click();
    await page.getByText('You are signed out. Sign in again').first().waitFor();
    await context.addCookies([{ name: 'sid', value: 'alice', url: world.server.url }]);
    await page.getByRole('button', { name: 'I am signed in: look again' }).click();
    await page.getByRole('heading', { name: 'Find' }).waitFor();
    assert.equal(new URL(page.url()).hash, '#/');
    await context.close();
  });

  test('no other page can frame it or read from it', async () => {
    const elsewhere = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>elsewhere</title>')).listen(0, '127.0.0.1');
    await new Promise((done) => elsewhere.once('listening', done));
    const { context, page } = await open(world.browser);
    await context.addCookies([{ name: 'sid', value: 'ada', url: world.server.url }]);
    await page.goto(`http://127.0.0.1:${elsewhere.address().port}/`);
    const outcome = await page.evaluate(async (url) => {
      const frame = document.body.appendChild(document.createElement('iframe'));
      await new Promise((done) => { frame.onload = done; frame.src = `${url}/console`; });
      const read = await fetch(`${url}/v1/moderation/bans`, { credentials: 'include' }).then(() => 'read', () => 'refused');
      const body = JSON.stringify({ users: ['victim'], conversation: 'chat:x' });
      await fetch(`${url}/v1/moderation/bans`, { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'content-type': 'text/plain' }, body }).catch(() => {});
      navigator.sendBeacon(`${url}/v1/moderation/bans`, body);
      return read;
    }, world.server.url);
    assert.equal(outcome, 'refused');
    const framed = page.frames().find((frame) => frame !== page.mainFrame());
    assert.equal(await framed.locator('#main').count(), 0);
    assert.deepEqual(await bansOf('victim'), []);
    await context.close();
    elsewhere.close();
  });

  test('no address makes a change, and unknown parts are named', async () => {
    await clear('carol');
    const { context, page } = await consoleOf('bob', `#/user/carol/ban?in=${HALL}&for=1h&reason=spam&foo=1`);
    await page.locator('#sheet-title').waitFor();
    for (let times = 0; times < 20; times += 1) await page.keyboard.down('Enter');
    assert.deepEqual(await bansOf('carol'), []);
    await page.getByText('The address has “foo”').first().waitFor({ state: 'attached' });
    await context.close();
  });

  test('it loads nothing from elsewhere, in few requests', async () => {
    const { context, page } = await world.server.open(world.browser, 'ada', '#/', { viewport: PHONE });
    await ready(page);
    const requests = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
    assert.deepEqual(requests.filter((url) => !url.startsWith(world.server.url)), []);
    assert.ok(requests.filter((url) => url.includes('/console/')).length <= 6, requests.join(' '));
    await context.close();
  });
});
