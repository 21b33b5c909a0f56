// The picture of the playground in README.md shows the page as it is now. `UPDATE_PICTURES=1 node --test picture.test.js` takes it anew.
//
// Fonts and browsers differ between machines, so the test does not compare pixels. Beside the picture is a text file with the visible text
// and the hash of the style sheets.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Signer } from '../sdk/support/signer.js';
import { launch, open } from './support/chromium.js';

const { SCREENSHOTS, UPDATE_PICTURES } = process.env;
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));

/** The lines of visible text above the steps, which have times and tokens. Runs in the page. */
function visibleText() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const lines = [];
  while (walker.nextNode()) {
    const { parentElement, data } = walker.currentNode;
    if (data.trim() && parentElement.checkVisibility() && !parentElement.closest('#steps, option')) lines.push(data.trim().replace(/\s+/g, ' '));
  }
  return lines;
}

/** The text of all style sheets. Runs in the page. */
const styles = () => Promise.all([...document.styleSheets].map(async ({ href }) => (await fetch(href)).text()));

test('the picture of the playground shows the page as it is', async (context) => {
  const demonstration = await Signer.demonstration();
  context.after(() => demonstration.stop());
  const browser = await launch();
  context.after(() => browser.close());
  const { page } = await open(browser, { viewport: { width: 1200, height: 700 } });
  const answered = () => page.locator('#steps:not([aria-busy])').waitFor({ state: 'attached' });
  await page.goto(`${demonstration.url}/playground`);
  await answered();
  await page.getByRole('button', { name: 'tom kicks bob: refused', exact: true }).click();
  await answered();

  const hash = createHash('sha256').update((await page.evaluate(styles)).join()).digest('hex');
  const text = [...(await page.evaluate(visibleText)), `style sheets: ${hash}`, ''].join('\n');
  const picture = await page.screenshot();
  for (const folder of [SCREENSHOTS, UPDATE_PICTURES && IMAGES].filter(Boolean)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'playground.png'), picture);
  }
  if (UPDATE_PICTURES) writeFileSync(join(IMAGES, 'playground.txt'), text);
  assert.ok(existsSync(join(IMAGES, 'playground.png')));
  assert.equal(readFileSync(join(IMAGES, 'playground.txt'), 'utf8'), text, 'run `UPDATE_PICTURES=1 node --test picture.test.js` in tests/browser, and look at the picture');
});
