// Headless Chromium, and pages that are watched for all that should not happen in them.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** How long a test waits for a condition, in milliseconds: long enough for a slow machine that does other work, too. */
const LIMIT = 60_000;

/** A browser with a profile of its own. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/**
 * A page in a context of its own, with a list of what went wrong in it: errors, warnings, and violations of its policy. That an answer
 * was a refusal, which Chromium logs as well, is none.
 */
export async function open(browser, options) {
  // Without motion, so that what is seen doesn't depend on when.
  const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => {
    const refusal = /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !refusal) wrong.push(message.text());
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`policy violated: ${event.violatedDirective}`));
  });
  return { context, page, wrong };
}

/** Repeats an assertion until it holds. Events of the browser can arrive after the result of the script that caused them. */
export async function eventually(assertion) {
  for (const end = Date.now() + LIMIT; ; await new Promise((done) => setTimeout(done, 50))) {
    try {
      return await assertion();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
