// The pictures in README.md show the pages as they are now. `UPDATE_PICTURES=1 node --test picture.test.js` takes them anew.
//
// Fonts and browsers differ between machines, so the tests do not compare pixels. Beside each picture is a text file with the visible text
// and the hash of the style sheets.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Signer } from '../sdk/support/signer.js';
import { launch, open } from './support/chromium.js';

const { SCREENSHOTS, UPDATE_PICTURES } = process.env;
/** A conversation of the demonstration. */
const HALL = '5f3c2a1b9e8d7c6b5a493827';
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));

/** The lines of visible text, without parts that differ each time. Runs in the page. */
function visibleText(omitted) {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const lines = [];
  while (walker.nextNode()) {
    const { parentElement, data } = walker.currentNode;
    if (data.trim() && parentElement.checkVisibility() && !parentElement.closest(omitted)) lines.push(data.trim().replace(/\s+/g, ' '));
  }
  return lines;
}

/** The text of all style sheets. Runs in the page. */
const styles = () => Promise.all([...document.styleSheets].map(async ({ href }) => (await fetch(href)).text()));

/** Compares the page with the text beside its picture, and takes the picture if that is asked for. */
async function compare(page, name, omitted) {
  const hash = createHash('sha256').update((await page.evaluate(styles)).join()).digest('hex');
  const text = [...(await page.evaluate(visibleText, omitted)), `style sheets: ${hash}`, ''].join('\n');
  const picture = await page.screenshot();
  for (const folder of [SCREENSHOTS, UPDATE_PICTURES && IMAGES].filter(Boolean)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.png`), picture);
  }
  if (UPDATE_PICTURES) writeFileSync(join(IMAGES, `${name}.txt`), text);
  assert.ok(existsSync(join(IMAGES, `${name}.png`)));
  assert.equal(readFileSync(join(IMAGES, `${name}.txt`), 'utf8'), text, 'run `UPDATE_PICTURES=1 node --test picture.test.js` in tests/browser, and look at the picture');
}

let demonstration, browser;
before(async () => {
  [demonstration, browser] = await Promise.all([Signer.demonstration(), launch()]);
});
after(async () => {
  await browser?.close();
  await demonstration?.stop();
});

test('the picture of the playground shows the page as it is', async () => {
  const { page } = await open(browser, { viewport: { width: 1200, height: 700 } });
  const answered = () => page.locator('#steps:not([aria-busy])').waitFor({ state: 'attached' });
  await page.goto(`${demonstration.url}/playground`);
  await answered();
  await page.getByRole('button', { name: 'tom kicks bob: refused', exact: true }).click();
  await answered();
  // The steps have times and tokens.
  await compare(page, 'playground', '#steps, option');
});

test('the picture of the console shows the page as it is', async () => {
  const token = (...words) => demonstration.command('token', ...words);
  const ask = async (subject, path, body) => {
    const headers = { authorization: `Bearer ${token('--sub', subject)}`, 'content-type': 'application/json' };
    const response = await fetch(`${demonstration.url}/v1/moderation/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200, await response.text());
  };
  await ask('bob', 'mutes', { users: ['tom'], conversation: HALL, reason: 'Too many messages' });
  await ask('bob', 'mutes/lift', { users: ['tom'], conversation: HALL });
  await ask('bob', 'bans', { users: ['tom'], conversation: HALL, reason: 'Spam in three messages', until: '2099-01-01T00:00:00Z' });
  const { page } = await open(browser, { viewport: { width: 1200, height: 700 }, locale: 'en-GB', timezoneId: 'UTC' });
  await page.goto(`${demonstration.url}/console#/user/tom?in=${HALL}`);
  await page.locator('#token').fill(token('--sub', 'alice'));
  await page.getByRole('button', { name: 'Use this token' }).click();
  await page.locator('#main[data-ready]').waitFor({ state: 'attached' });
  await page.locator('#live.live').waitFor();
  await page.mouse.move(0, 0);
  await compare(page, 'console', 'time, option');
});
