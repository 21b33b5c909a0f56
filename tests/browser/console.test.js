// The console: the common tasks with the number of presses that they take, the states of the page, and two moderators at once.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { DESK, HALL, PHONE, afterDoublePress, ready, receipt, useConsole, userAt } from './support/console.js';

const world = useConsole();
const { consoleOf, clear, bansOf } = world;

describe('the common tasks', () => {
  for (const [place, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
    test(`a ban takes three presses, and undo one: ${place}`, async () => {
      await clear('tom');
      const { context, page, press, presses, wrong } = await consoleOf('bob', userAt('tom'), { viewport });
      await press('Ban…', 'link');
      await press(page.locator('#sheet').getByText('Spam', { exact: true }));
      await afterDoublePress(page);
      await press(/^Ban tom in .* for 24 h$/);
      await receipt(page).getByText(/tom is banned/).waitFor();
      assert.equal(presses(), 3);
      const [ban] = await bansOf('tom');
      assert.equal(ban.reason, 'Spam');
      assert.equal(ban.conversation, HALL);
      assert.ok(Math.abs(Date.parse(ban.until) - Date.now() - 86_400_000) < 120_000);
      await page.locator('.verdict').getByText(/tom cannot join/).waitFor();
      await page.locator('#undo:focus').waitFor();
      await press('Undo');
      await receipt(page).getByText('Undone.').waitFor();
      assert.equal(presses(), 4);
      assert.deepEqual(await bansOf('tom'), []);
      assert.deepEqual(wrong, []);
      await context.close();
    });
  }

  test('a mute for 15 minutes from the home page: search, suggestion, form', async () => {
    await clear('tom');
    await world.server.api('bans', { users: ['tom'], conversation: 'chat:elsewhere' });
    const { context, page, press, presses } = await consoleOf('ada', '#/', { viewport: PHONE });
    await press(page.getByRole('combobox'));
    await page.keyboard.type('to');
    await press(page.getByRole('option', { name: /^tom/ }).first());
    await page.locator('#mute').waitFor();
    await press('Mute…', 'link');
    await page.locator('#sheet-title').waitFor();
    await press(page.getByText('15 min', { exact: true }));
    await press(page.locator('#sheet').getByText('Insults', { exact: true }));
    await afterDoublePress(page);
    await press(/^Mute tom everywhere for 15 min$/);
    await receipt(page).getByText(/tom is muted everywhere/).waitFor();
    assert.equal(presses(), 6);
    await world.server.api('mutes/lift', { users: ['tom'] });
    await world.server.api('bans/lift', { users: ['tom'], conversation: 'chat:elsewhere' });
    await context.close();
  });

  test('a link from a bot opens a filled form, and one press bans', async () => {
    await clear('dave');
    const { context, page, press, presses } = await consoleOf('bob', `#/user/dave/ban?in=${HALL}&for=1h&reason=insults`);
    await page.locator('#sheet-title').waitFor();
    assert.deepEqual(await bansOf('dave'), []);
    await afterDoublePress(page);
    await press(/^Ban dave in .* for 1 h$/);
    await receipt(page).waitFor();
    assert.equal(presses(), 1);
    assert.equal((await bansOf('dave'))[0].reason, 'Insults');
    await clear('dave');
    await context.close();
  });

  test('lifting an own ban takes two presses, and says who made it and why', async () => {
    await clear('tom');
    await world.server.as('bob', 'bans', { users: ['tom'], conversation: HALL, reason: 'slip' });
    const { context, page, press, presses } = await consoleOf('bob', userAt('tom'));
    const entry = page.locator('.entry').first();
    assert.match(await entry.innerText(), /slip[^]*without an end · by bob \(manager\)/);
    await press(/^Lift the ban/, 'link');
    await page.locator('#sheet-title').waitFor();
    await afterDoublePress(page);
    await press('Lift this ban');
    await receipt(page).getByText(/is lifted/).waitFor();
    assert.equal(presses(), 2);
    assert.deepEqual(await bansOf('tom'), []);
    await press('Undo');
    await receipt(page).getByText('Undone.').waitFor();
    assert.equal((await bansOf('tom'))[0].reason, 'slip');
    await clear('tom');
    await context.close();
  });

  test('undo takes back only the own ban', async () => {
    await clear('dave');
    await world.server.as('bob', 'bans', { users: ['dave'], conversation: HALL, reason: 'bob says' });
    const { context, page, press } = await consoleOf('alice', `#/user/dave/ban?in=${HALL}&for=1h&reason=spam`);
    await page.getByText(/The entry by bob .* stays/).waitFor();
    await afterDoublePress(page);
    await press(/^Ban dave/);
    await receipt(page).waitFor();
    assert.equal((await bansOf('dave')).length, 2);
    await press('Undo');
    await receipt(page).getByText('Undone.').waitFor();
    assert.deepEqual((await bansOf('dave')).map(({ reason }) => reason), ['bob says']);
    await clear('dave');
    await context.close();
  });

  test('undo of a changed ban puts the earlier one back', async () => {
    await clear('dave');
    await world.server.as('bob', 'bans', { users: ['dave'], conversation: HALL, reason: 'first', until: '2099-01-01T00:00:00Z' });
    const { context, page, press } = await consoleOf('bob', `#/user/dave/ban?in=${HALL}&for=1h&reason=spam`);
    await afterDoublePress(page);
    await press(/^Ban dave/);
    await receipt(page).waitFor();
    await press('Undo');
    await receipt(page).getByText('Undone.').waitFor();
    const [{ reason, until }] = await bansOf('dave');
    assert.deepEqual([reason, until], ['first', '2099-01-01T00:00:00.000Z']);
    await clear('dave');
    await context.close();
  });

  test('why a user cannot join is the first thing on the page, and can be copied', async () => {
    await clear('tom');
    await world.server.as('bob', 'bans', { users: ['tom'], conversation: HALL, reason: 'spam' });
    const { context, page, press, presses } = await consoleOf('bob', userAt('tom'));
    assert.match(await page.locator('.verdict').innerText(), /tom cannot join 5f3c2a…93827[^]*tom is banned in 5f3c2a…93827, without an end, by bob\. spam/);
    // The page may not read the clipboard, so the text is caught on its way there.
    await page.evaluate(() => (navigator.clipboard.writeText = async (text) => (window.copied = text)));
    await press('Copy the answer and the link');
    await page.getByText('Copied').first().waitFor();
    assert.equal(presses(), 1);
    const text = await page.evaluate(() => window.copied);
    assert.match(text, /tom cannot join/);
    assert.ok(text.endsWith(page.url()));
    await clear('tom');
    await context.close();
  });

  test('a role takes four presses', async () => {
    const { context, page, press, presses } = await consoleOf('ada', userAt('yves'));
    await press('More');
    await press('Role…', 'link');
    await page.locator('#sheet-title').waitFor();
    await press(page.locator('#sheet').getByText('moderator', { exact: true }));
    await afterDoublePress(page);
    await press(/^Make yves moderator/);
    await receipt(page).getByText(/yves is now moderator/).waitFor();
    assert.equal(presses(), 4);
    await page.getByRole('link', { name: /^Take the role moderator/ }).click();
    await page.getByText('This cannot be undone').waitFor();
    await afterDoublePress(page);
    await page.getByRole('button', { name: /^Take moderator from yves/ }).click();
    await receipt(page).getByText(/no longer has the role/).waitFor();
    assert.equal(await page.locator('#undo').count(), 0);
    await context.close();
  });

  test('language and signing out take two presses', async () => {
    const { context, page, press, presses } = await consoleOf('bob');
    await press(/your settings/, 'link');
    await press('中文');
    await page.getByRole('heading', { name: '你', exact: true }).waitFor();
    assert.equal(presses(), 2);
    assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
    await page.getByRole('button', { name: '退出登录' }).click();
    await page.getByText('你已退出登录。').waitFor();
    assert.equal(await page.locator('#nav').isVisible(), false);
    await page.goBack().catch(() => {});
    assert.ok(!(await page.locator('body').innerText()).includes('tom'));
    await context.close();
  });
});

describe('the forms', () => {
  const effects = (page) => page.locator('#sheet .effects');

  test('a ban: what each vendor does, the same words as in the answer of the server', async () => {
    await clear('tom');
    const { effects: found } = await world.server.as('bob', 'preview', { do: 'ban', users: ['tom'], conversation: HALL });
    const [leancloud, talkjs] = found;
    assert.deepEqual([leancloud.carried, leancloud.why, talkjs.does, talkjs.after], [false, 'off', ['removed'], 'restored']);
    const { context, page } = await consoleOf('bob', `#/user/tom/ban?in=${HALL}&for=1h&reason=spam`);
    await effects(page).getByText('talkjs: removed from this conversation. At the end, access is as before.').waitFor();
    await effects(page).getByText(/^leancloud: the vendor is not informed\. What was signed before is valid until .+ at the latest\.$/).waitFor();
    await context.close();
  });

  test('a mute everywhere, and its end', async () => {
    const { context, page } = await consoleOf('ada', '#/user/tom/mute?for=1h&reason=spam');
    await effects(page).getByText('talkjs: can read, but not send. At the end, access is as before.').waitFor();
    await effects(page).getByText(/^leancloud: the vendor does not offer this\./).waitFor();
    await world.server.as('ada', 'mutes', { users: ['tom'], reason: 'spam' });
    await page.goto(`${world.server.url}/console#/user/tom/lift?kind=mute&place=*`);
    await effects(page).getByText('talkjs: the access from before is restored.').waitFor();
    await world.server.as('ada', 'mutes/lift', { users: ['tom'] });
    await context.close();
  });

  test('a warning names a user whose id looks the same', async () => {
    await world.server.api('bans', { users: ['zoe_l', 'zoe_I'], conversation: HALL });
    const { context, page } = await consoleOf('ada', '#/list/bans');
    await page.getByRole('link', { name: 'zoe_I', exact: true }).click();
    await page.getByText('Do not confuse this id with zoe_l, which looks alike.').waitFor();
    await page.goto(`${world.server.url}/console${userAt('zoe_I').replace('?', '/ban?')}`);
    await page.locator('#sheet').getByText('Do not confuse this id with zoe_l, which looks alike.').waitFor();
    await page.goto(`${world.server.url}/console${userAt('tom')}`);
    await page.locator('#main[data-ready*="tom"]').waitFor({ state: 'attached' });
    assert.equal(await page.getByText('Do not confuse').count(), 0);
    await world.server.api('bans/lift', { users: ['zoe_l', 'zoe_I'], conversation: HALL });
    await context.close();
  });
});

describe('when something is not as expected', () => {
  /** Answers requests of the page for a path itself. */
  const intercept = (page, path, handler) => page.route(`**/v1/moderation/${path}`, handler);

  async function ban(page, user) {
    await page.goto(`${world.server.url}/console#/user/${user}/ban?in=${HALL}&for=1h&reason=spam`);
    await page.locator('#sheet-title').waitFor();
    await afterDoublePress(page);
    await page.locator('#sheet-go').click();
  }

  test('nothing reads as done before the answer', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob');
    let answer;
    const held = new Promise((done) => (answer = done));
    await intercept(page, 'bans', async (route) => { await held; await route.continue(); });
    await ban(page, 'tom');
    assert.equal(await page.locator('#sheet-go').innerText(), 'Working…');
    assert.equal(await receipt(page).count(), 0);
    answer();
    await receipt(page).getByText(/tom is banned/).waitFor();
    await clear('tom');
    await context.close();
  });

  test('a lost answer is looked up: it was done', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob');
    await intercept(page, 'bans', async (route) => { await route.fetch(); await route.abort(); });
    await ban(page, 'tom');
    let look;
    const held = new Promise((done) => (look = done));
    await intercept(page, 'users/**', async (route) => { await held; await route.continue(); });
    await page.locator('#sheet-problem', { hasText: 'It is not known whether this was done' }).waitFor();
    look();
    await receipt(page).getByText(/tom is banned/).waitFor();
    assert.equal((await bansOf('tom')).length, 1);
    await clear('tom');
    await context.close();
  });

  test('a lost request is looked up: it was not done, and asking again asks for the same', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob');
    const bodies = [];
    await intercept(page, 'bans', async (route) => {
      bodies.push(route.request().postData());
      if (bodies.length === 1) return route.abort();
      return route.continue();
    });
    await ban(page, 'tom');
    await page.getByText('It was not done.').waitFor();
    await page.getByRole('button', { name: 'Ask again' }).click();
    await receipt(page).getByText(/tom is banned/).waitFor();
    assert.equal(bodies.length, 2);
    assert.equal(bodies[0], bodies[1]);
    await clear('tom');
    await context.close();
  });

  test('a refusal names the reason next to the button', async () => {
    const { context, page } = await consoleOf('bob', `#/user/alice/ban?in=${HALL}&for=1h&reason=spam`);
    await page.locator('#sheet-problem').getByText(/Not done for alice/).waitFor();
    assert.match(await page.locator('#sheet-problem').innerText(), /outrank/);
    assert.equal(await page.locator('#sheet-go').getAttribute('aria-disabled'), 'true');
    await context.close();
  });

  test('two presses and a held Enter make one request', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob', `#/user/tom/ban?in=${HALL}&for=1h&reason=spam`);
    let requests = 0;
    page.on('request', (request) => (requests += request.method() === 'POST' && request.url().endsWith('/bans')));
    await page.locator('#sheet-title').waitFor();
    await afterDoublePress(page);
    await page.locator('#sheet-go').dblclick();
    await receipt(page).waitFor();
    assert.equal(requests, 1);
    await clear('tom');
    await context.close();
  });

  test('offline: the page says so, keeps what it shows, and comes back by itself', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'));
    await context.setOffline(true);
    await page.locator('#banners').getByText(/You are offline/).waitFor();
    assert.equal(await page.locator('h1').innerText(), 'tom');
    await context.setOffline(false);
    await page.locator('#banners').getByText(/You are offline/).waitFor({ state: 'hidden' });
    await context.close();
  });

  test('a stale store: a banner, and no changes', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'));
    await intercept(page, 'abilities*', async (route) => {
      const response = await route.fetch();
      const json = await response.json();
      await route.fulfill({ response, json: { ...json, moderation: { ...json.moderation, state: 'stale' } } });
    });
    await page.reload();
    await page.getByText('The moderation store does not answer').first().waitFor();
    await ready(page);
    assert.equal(await page.locator('#ban').count(), 0);
    await context.close();
  });

  test('a guest reads what to do', async () => {
    const { context, page } = await consoleOf('guest');
    assert.match(await page.locator('main').innerText(), /You are signed in as guest/);
    assert.equal(await page.getByRole('link', { name: 'Queue' }).count(), 0);
    await context.close();
  });

  test('a manager of one conversation sees no queue and no “everywhere”', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob', `#/user/tom/ban?in=${HALL}`);
    await page.locator('#sheet-title').waitFor();
    assert.equal(await page.locator('#sheet').getByText('Everywhere').count(), 0);
    assert.equal(await page.getByRole('link', { name: 'Queue', includeHidden: true }).count(), 0);
    await context.close();
  });

  test('signed out in between: the form stays, and the page goes on after signing in', async () => {
    const { context, page } = await consoleOf('bob', userAt('tom'));
    await context.clearCookies();
    await page.getByRole('link', { name: 'Live' }).click();
    await page.getByText('You are signed out. Sign in again').first().waitFor();
    await context.addCookies([{ name: 'sid', value: 'bob', url: world.server.url }]);
    await page.getByRole('button', { name: 'I am signed in: look again' }).click();
    await page.locator('#sign-in').waitFor({ state: 'hidden' });
    await page.getByRole('heading', { name: 'Live' }).waitFor();
    await context.close();
  });

  test('an answer that is broken is an error, not markup', async () => {
    const { context, page, wrong } = await consoleOf('bob', userAt('tom'));
    await intercept(page, 'users/**', (route) => route.fulfill({ status: 200, contentType: 'text/html', body: '<img src=x onerror=alert(1)>' }));
    await page.reload();
    await page.getByText('Something went wrong here').waitFor();
    assert.equal(await page.locator('img').count(), 0);
    assert.deepEqual(wrong, []);
    await context.close();
  });
});

describe('two moderators at once', () => {
  test('what one does is seen by the other, and their open form says so', async () => {
    await clear('tom');
    await world.server.as('bob', 'bans', { users: ['tom'], conversation: HALL, reason: 'spam' });
    const bob = await consoleOf('bob', userAt('tom'));
    const alice = await consoleOf('alice', userAt('tom'));
    await bob.page.locator('#live.live').waitFor();
    await bob.page.getByRole('link', { name: /^Lift the ban/ }).click();
    await bob.page.locator('#sheet-title').waitFor();
    await alice.page.getByRole('link', { name: /^Lift the ban/ }).click();
    await afterDoublePress(alice.page);
    await alice.page.getByRole('button', { name: 'Lift this ban' }).click();
    await receipt(alice.page).waitFor();
    await bob.page.locator('#sheet').getByText('There is nothing to lift here any more.').waitFor();
    assert.equal(await bob.page.locator('#sheet-go').getAttribute('aria-disabled'), 'true');
    await bob.page.getByRole('button', { name: 'Cancel' }).click();
    await bob.page.locator('.notes').getByText(/alice.*lifted the ban of tom/).waitFor();
    await Promise.all([alice.context.close(), bob.context.close()]);
  });

  test('undo after somebody else changed it leaves what they decided', async () => {
    await clear('tom');
    const { context, page } = await consoleOf('bob', `#/user/tom/ban?in=${HALL}&for=1h&reason=spam`);
    await page.locator('#sheet-title').waitFor();
    await afterDoublePress(page);
    await page.locator('#sheet-go').click();
    await receipt(page).getByText(/tom is banned/).waitFor();
    await world.server.as('alice', 'bans/lift', { users: ['tom'], conversation: HALL });
    await world.server.as('alice', 'bans', { users: ['tom'], conversation: HALL, reason: 'alice says' });
    await page.getByRole('button', { name: 'Undo' }).click();
    await receipt(page).getByText(/somebody changed this after you/).waitFor();
    assert.deepEqual((await bansOf('tom')).map(({ reason }) => reason), ['alice says']);
    await clear('tom');
    await context.close();
  });

  test('events come in by themselves at the top, and as a number for those who read below', async () => {
    const { context, page } = await consoleOf('ada', '#/live');
    await page.locator('#live.live').waitFor();
    await world.server.api('bans', { users: ['carol'], conversation: HALL, reason: 'earlier event' });
    await page.locator('#events').getByText('earlier event', { exact: true }).waitFor();
    await page.locator('#events a').first().focus();
    await world.server.api('bans', { users: ['carol'], conversation: HALL, reason: 'later event' });
    await page.getByRole('button', { name: '1 new' }).click();
    await page.locator('#events').getByText('later event', { exact: true }).waitFor();
    await clear('carol');
    await context.close();
  });
});
