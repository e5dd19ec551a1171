// Drives three pages of the web client through one meeting. The Go test beside it has
// three participants without a browser in it, and is in step with this (pages.mjs).

import { join } from 'node:path';
import { facts, options, perceives, picture, say, signIn, stage, withBrowser, write } from './pages.mjs';

await withBrowser(async (newPage) => {
  const [alice, bob, carol] = [await newPage(), await newPage(), await newPage()];
  await signIn(alice, 'alice');
  await alice.getByLabel('Subject of the meeting').fill('Weekly review');
  await alice.getByLabel('Subject of the meeting').press('Tab');
  await alice.keyboard.press('Enter');
  await alice.locator('#room-state', { hasText: 'connected' }).waitFor();
  const link = (await alice.locator('#room-link').getAttribute('href')) ?? '';
  await stage('scheduled', { link });

  await signIn(bob, 'bob', link);
  await bob.locator('#join:focus').waitFor();
  await bob.keyboard.press('Enter');
  await bob.locator('#room-state', { hasText: 'connected' }).waitFor();

  // Carol is no member of the organisation, and can only use TCP.
  await signIn(carol, 'carol', link);
  await carol.locator('#force-relay').setChecked(true, { force: true });
  await carol.getByLabel('Transport to the relay').selectOption('tcp');
  await carol.locator('#join').press('Enter');
  await carol.locator('#room-state', { hasText: 'in the lobby' }).waitFor();
  await alice.locator('#lobby-list [data-person="carol"]').waitFor();
  await write(alice, 'before carol');
  await picture(alice, 'lobby-organizer');
  await picture(carol, 'lobby-waiting');
  await stage('lobby', { waiting: await carol.evaluate(() => ({
    connections: /** @type {any} */ (window).connections,
    tiles: document.querySelectorAll('#tiles *, #voices *').length,
    roster: document.querySelectorAll('#roster *').length,
    messages: document.querySelectorAll('#chat-log *').length,
  })) });

  await alice.getByRole('button', { name: 'Reject Carol' }).press('Enter');
  await carol.locator('#notice', { hasText: 'rejected, by alice' }).waitFor();
  await carol.locator('#join').press('Enter');
  await alice.getByRole('button', { name: 'Admit Carol' }).press('Enter');
  const pages = { alice, bob, carol };
  for (const page of Object.values(pages)) {
    await page.locator('#room-state', { hasText: 'connected' }).waitFor();
    await page.locator('#roster [data-person]').nth(5).waitFor();
  }
  say('all are there');
  const all = [...Object.keys(pages), ...options.synthetic];
  for (const [user, page] of Object.entries(pages)) {
    await page.bringToFront();
    await perceives(page, all.filter((other) => other !== user));
    say(user, 'sees and hears all');
  }
  await write(carol, 'hello from carol');
  await alice.locator('#chat-log li', { hasText: 'hello from carol' }).waitFor();
  say('data loss prevention');
  await alice.getByLabel('Message', { exact: true }).fill('my card is 4111 1111 1111 1111');
  await alice.keyboard.press('Enter');
  await alice.locator('#chat-error', { hasText: 'Cards are not for chats.' }).waitFor();
  await alice.getByLabel('Message', { exact: true }).fill('it is DE89 3704 0044 0532 0130 00');
  await alice.keyboard.press('Enter');
  await alice.locator('#chat-error', { hasText: 'Is that number needed?' }).waitFor();
  await alice.getByLabel('Why it has to be sent').fill('the invoice of June');
  await alice.bringToFront();
  await picture(alice, 'withheld');
  await alice.keyboard.press('Enter');
  for (const page of [alice, bob, carol]) await page.locator('#chat-log li', { hasText: 'it is DE89' }).waitFor();
  say('screen');
  await bob.bringToFront();
  await bob.getByRole('button', { name: 'Share screen' }).click();
  let shared = true;
  await alice.locator('[data-tile="bob/slides"]').waitFor({ timeout: 15_000 }).catch(() => { shared = false; });
  const chats = Object.fromEntries(await Promise.all(Object.entries(pages).map(async ([user, page]) => [user, await page.locator('#chat-log li > span:first-of-type').allTextContents()])));
  const panels = Object.fromEntries(await Promise.all(Object.entries(pages).map(async ([user, page]) => [user, await facts(page)])));
  await alice.bringToFront();
  await picture(alice, 'organizer');
  await carol.bringToFront();
  await picture(carol, 'relayed');
  await carol.screenshot({ path: join(options.pictures, 'meeting-whole.png'), fullPage: true });
  await stage('together', { panels, chats, shared });

  await bob.keyboard.press('Escape');
  await bob.bringToFront();
  await bob.locator('#m-leave').press('e');
  await bob.locator('#notice', { hasText: 'you have left' }).waitFor();
  await alice.locator('#roster [data-person="bob"]').waitFor({ state: 'detached' });
  await alice.getByRole('button', { name: 'End for all' }).press('Enter');
  await carol.locator('#notice', { hasText: 'the meeting has ended, by alice' }).waitFor();
  console.log(JSON.stringify({ stage: 'ended' }));
});
