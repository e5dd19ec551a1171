// Drives two pages through a group call: by a link, one behind the relay; new paths; a
// server that is killed and started again in mid-call; and a page that is closed.

import { facts, perceives, picture, say, signIn, stage, withBrowser } from './pages.mjs';

await withBrowser(async (newPage) => {
  const [alice, bob] = [await newPage(), await newPage()];
  const both = [{ page: alice, user: 'alice', other: 'bob' }, { page: bob, user: 'bob', other: 'alice' }];
  const meet = async () => {
    for (const { page, other } of both) {
      await page.bringToFront();
      await perceives(page, [other]);
    }
  };
  await signIn(alice, 'alice');
  await alice.getByRole('button', { name: 'New group call' }).press('Enter');
  await alice.locator('#room-state', { hasText: 'connected' }).waitFor();
  const link = (await alice.locator('#room-link').getAttribute('href')) ?? '';
  await signIn(bob, 'bob', link);
  await bob.locator('#force-relay').setChecked(true, { force: true });
  await bob.locator('#join').press('Enter');
  await bob.locator('#room-state', { hasText: 'connected' }).waitFor();
  await meet();
  if (await alice.locator('#chat').isVisible()) throw new Error('a group call shows a chat');

  say('new path');
  const before = (await facts(bob))['local-address'];
  await bob.keyboard.press('Escape');
  await bob.locator('#m-restart').press('r');
  await bob.waitForFunction((old) => {
    const now = document.querySelector('[data-fact="local-address"]')?.textContent;
    return now !== old && now !== '–';
  }, before);
  await meet();
  await alice.locator('#m-mute').press('m');
  await alice.locator('#m-mute[aria-pressed="true"]').waitFor();
  await alice.locator('#m-mute').press('m');
  await stage('together', { link, panels: { alice: await facts(alice), bob: await facts(bob) } });

  // The server was killed and is back.
  for (const { page } of both) await page.locator('#log li', { hasText: 'the path is silent' }).first().waitFor();
  for (const { page } of both) await page.locator('#room-state', { hasText: /^connected$/ }).waitFor();
  await meet();
  await picture(bob, 'after-restart');
  await stage('again');

  await bob.close({ runBeforeUnload: false });
  await alice.locator('#roster [data-person="bob"]').waitFor({ state: 'detached' });
  await alice.locator('#m-leave').press('Enter');
  await alice.locator('#notice', { hasText: 'you have left' }).waitFor();
  console.log(JSON.stringify({ stage: 'ended' }));
});
