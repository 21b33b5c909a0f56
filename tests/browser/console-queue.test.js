// The queue of the console: dead letters of a vendor and of a webhook that refuse, retry and close, and who may do that.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { eventually } from './support/chromium.js';
import { HALL, PHONE, ready, useConsole, userAt } from './support/console.js';
import { faint, nameless, small, tooWide } from './support/looks.js';

const world = useConsole();
const { consoleOf } = world;

/** Whether the vendor was asked to remove this user. */
const wasRemoved = (user) => world.server.vendor.asked.some((request) => request.startsWith('DELETE ') && request.endsWith(`/participants/${user}`));
const group = (page) => page.locator('.group', { hasText: 'talkjs' });
const openGroup = (page) => group(page).locator('> summary').click();
const job = (page, user) => page.locator('.job', { hasText: user });
/** Waits for a line about a group or about what was done. */
const says = (page, text) => page.locator('#main .note, #main .notes').getByText(text).waitFor();

/** Bans users while the vendor refuses the key, so that a dead letter about each of them is made. */
async function refuse(...users) {
  const participants = Object.fromEntries(users.map((user) => [user, { access: 'ReadWrite', notify: true }]));
  Object.assign(world.server.vendor, { status: 401, participants });
  await world.server.api('bans', { users, conversation: HALL, reason: 'spam' });
  return world.server.deadLetters(users.length);
}

describe('the queue', () => {
  beforeEach(() => Object.assign(world.server.vendor, { status: 200, hookStatus: 200, asked: [] }));
  afterEach(async () => {
    Object.assign(world.server.vendor, { status: 200, hookStatus: 200 });
    const { entries } = await world.server.api('enforcements?state=dead-letter');
    if (entries.length) await world.server.as('ada', 'enforcements/close', { jobs: entries.map(({ id, change }) => ({ id, change })), reason: 'end of a test' });
    await world.server.deadLetters(0);
  });

  test('one dead letter is tried first, and then the others', async () => {
    const users = ['q-tom', 'q-eve', 'q-dan'];
    await refuse(...users);
    const { context, page, wrong } = await consoleOf('ada', '#/queue', { viewport: PHONE });
    await page.getByText('0 jobs wait · 3 dead letters').waitFor();
    await page.locator('#dead-letters', { hasText: '3' }).waitFor({ state: 'attached' });
    await group(page).getByText('The vendor refuses the key.').waitFor();
    await openGroup(page);
    for (const look of [faint, tooWide, nameless, small]) assert.deepEqual(await page.evaluate(look), [], look.name);

    await page.getByRole('button', { name: 'Try one' }).click();
    await says(page, 'It failed again with the same error.');
    await world.server.deadLetters(3);
    assert.equal(await page.getByRole('button', { name: /^Try the other/ }).count(), 0);

    world.server.vendor.status = 200;
    await page.getByRole('button', { name: 'Try one' }).click();
    await says(page, 'It worked. Now you can try the others.');
    await world.server.deadLetters(2);
    await page.getByRole('button', { name: 'Try the other 2' }).click();
    await says(page, '2 jobs are tried again, 0 could not be.');
    await world.server.deadLetters(0);
    await page.getByText('Nothing waits.').waitFor();
    for (const user of users) assert.ok(wasRemoved(user), user);
    const { entries } = await world.server.api(`enforcements?state=done&app=talkjs&user=q-eve`);
    assert.deepEqual(entries.map(({ user, stage }) => [user, stage]), [['q-eve', 'done']]);
    assert.deepEqual(wrong, []);
    await context.close();
  });

  test('a dead letter that stands alone works, too', async () => {
    await refuse('q-single');
    const { context, page } = await consoleOf('ada', '#/queue');
    await openGroup(page);
    world.server.vendor.status = 200;
    await page.getByRole('button', { name: 'Try one' }).click();
    await says(page, 'It worked. There are no others with this error.');
    await page.getByText('Nothing waits.').waitFor();
    await page.evaluate((address) => (location.hash = address), userAt('q-single'));
    await page.locator('.stages').getByText('1 of 1').first().waitFor();
    await context.close();
  });

  test('a job that was done by hand is closed with a reason', async () => {
    const [one, other] = await refuse('q-carol', 'q-dave');
    const { context, page } = await consoleOf('ada', '#/queue');
    await openGroup(page);
    await job(page, one.user).getByText('Close…').click();
    await job(page, one.user).getByLabel('Why it can be closed').fill('removed by hand');
    await job(page, one.user).getByRole('button', { name: 'Close this job' }).click();
    await says(page, 'Closed.');
    await job(page, one.user).waitFor({ state: 'detached' });
    assert.deepEqual((await world.server.deadLetters(1)).map(({ user }) => user), [other.user]);
    assert.ok(!wasRemoved(one.user));
    await context.close();
  });

  test('who is slower than another moderator is told', async () => {
    const [{ id, change, user }] = await refuse('q-late');
    const { context, page } = await consoleOf('ada', '#/queue');
    await openGroup(page);
    await job(page, user).getByText('Close…').click();
    await world.server.as('ada', 'enforcements/close', { jobs: [{ id, change }], reason: 'another tab was faster' });
    await job(page, user).getByLabel('Why it can be closed').fill('removed by hand');
    await job(page, user).getByRole('button', { name: 'Close this job' }).click();
    await says(page, /^Not closed:.*the job is not a dead letter/);
    await context.close();
  });

  test('an event that a webhook no longer wants can only be closed', async () => {
    world.server.vendor.hookStatus = 410;
    await world.server.api('mutes', { users: ['q-hook'], conversation: 'chat:hook', app: 'leancloud' });
    await world.server.deadLetters(1);
    const { context, page } = await consoleOf('ada', '#/queue');
    const hook = page.locator('.group', { hasText: world.server.vendor.url });
    await hook.getByText('The vendor or receiver no longer knows it.').waitFor();
    await hook.locator('> summary').click();
    await job(page, 'q-hook').getByText('Close…').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Try one' }).count(), 0);
    await context.close();
  });

  test('who may only read sees the jobs, but neither retry nor close', async () => {
    const [{ id, change, user }] = await refuse('q-eve');
    const { context, page } = await consoleOf('rita', '#/queue');
    await page.getByText('You may look at the dead letters, but not retry or close them.').waitFor();
    await openGroup(page);
    await job(page, user).waitFor();
    assert.equal(await page.getByRole('button', { name: /Try/ }).count(), 0);
    assert.equal(await page.getByText('Close…').count(), 0);
    for (const [path, more] of [['retry', {}], ['close', { reason: 'by hand' }]]) {
      const refused = await world.server.as('rita', `enforcements/${path}`, { jobs: [{ id, change }], ...more });
      assert.deepEqual([refused.status, refused.code], [403, 'denied'], path);
    }
    await world.server.deadLetters(1);
    await context.close();
  });

  test('a permission that was lost meanwhile is an error next to the group', async () => {
    const [{ user }] = await refuse('q-lost');
    const { context, page } = await consoleOf('ada', '#/queue');
    await openGroup(page);
    await page.route('**/v1/moderation/enforcements/retry', (route) => route.continue({ headers: { ...route.request().headers(), cookie: 'sid=rita' } }));
    await page.getByRole('button', { name: 'Try one' }).click();
    await eventually(async () => assert.equal(await group(page).locator('.note.bad').count(), 1));
    assert.equal((await world.server.deadLetters(1))[0].user, user);
    await ready(page);
    await context.close();
  });
});
