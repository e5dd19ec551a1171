// Drives three pages of the web client through one meeting. The Go test beside it has
// three participants without a browser in it, and is in step with this: each line that
// this prints is a stage, with what the pages show, and it goes on when it reads a line.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

/**
 * @typedef {object} Options
 * @property {string} url of the page
 * @property {string} chromium the program
 * @property {Record<string, string>} passwords by user
 * @property {string[]} synthetic users without a page
 * @property {string} pictures folder for screenshots
 */

/** @type {Options} */
const options = JSON.parse(process.argv[2]);
const patience = 60_000;

// As in call.mjs; a fake camera of few frames, since three pages encode and decode here.
const flags = [
  '--ignore-certificate-errors', '--allow-loopback-in-peer-connection',
  '--use-fake-device-for-media-stream=fps=10', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
];

/** @typedef {import('playwright-core').Page} Page */

/** @param {string} step @param {...unknown} more */
const say = (step, ...more) => console.error(new Date().toISOString().slice(11, 23), step, ...more);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tells the test how far this is, and waits until it says to go on. @param {string} name @param {object} [shown] */
async function stage(name, shown = {}) {
  say(name);
  console.log(JSON.stringify({ stage: name, ...shown }));
  if ((await lines.next()).done) throw new Error('the test has ended');
}

/** @param {Page} page @param {string} name */
const picture = (page, name) => page.screenshot({ path: join(options.pictures, `meeting-${name}.png`) });

/** @param {Page} page @param {string} user @param {string} [link] */
async function signIn(page, user, link = options.url) {
  page.on('console', (message) => say(`${user} console`, message.type(), message.text()));
  page.on('pageerror', (error) => { throw error; });
  // Counts connections, so that it is known when there is none.
  await page.addInitScript(() => {
    const { RTCPeerConnection: Connection } = window;
    Object.assign(window, { connections: 0 });
    window.RTCPeerConnection = new Proxy(Connection, {
      construct(made, arguments_) {
        /** @type {any} */ (window).connections++;
        return Reflect.construct(made, arguments_);
      },
    });
  });
  await page.goto(link);
  await page.locator('#sign-in-here:focus').waitFor();
  await page.keyboard.press('Enter');
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(options.passwords[user]);
  await page.keyboard.press('Enter');
  await page.locator('#presence[data-state="connected"]').waitFor();
}

/** Waits until a page shows the pictures of all others move, and has seen each speak. @param {Page} page @param {string[]} others */
async function perceives(page, others) {
  const missing = new Map(others.map((other) => [other, /** @type {{frames?: number, moved: boolean, spoke: boolean}} */ ({ moved: false, spoke: false })]));
  const end = Date.now() + patience;
  for (;;) {
    const now = await page.evaluate((names) => names.map((name) => {
      const video = document.querySelector(`[data-tile="${name}"] video`);
      const line = document.querySelector(`#roster [data-person="${name}"]`);
      return {
        name,
        frames: video instanceof HTMLVideoElement && video.srcObject ? video.getVideoPlaybackQuality().totalVideoFrames : null,
        speaks: line instanceof HTMLElement && line.dataset.speaking === 'true',
      };
    }), others);
    for (const { name, frames, speaks } of now) {
      const known = missing.get(name);
      if (!known) continue;
      if (frames !== null) {
        known.frames ??= frames;
        known.moved ||= frames >= known.frames + 10;
      }
      known.spoke ||= speaks;
    }
    const left = [...missing].filter(([, { moved, spoke }]) => !moved || !spoke);
    if (left.length === 0) return;
    if (Date.now() > end) throw new Error(`not seen or heard: ${JSON.stringify(left)}`);
    await page.waitForTimeout(100);
  }
}

/** @param {Page} page */
const facts = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-fact]')].map((e) => [e.getAttribute('data-fact'), e.textContent])));

/** @param {Page} page @param {string} text */
async function write(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
  await page.locator('#chat-log li', { hasText: text }).waitFor();
}

const profile = mkdtempSync(join(tmpdir(), 'callpath-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: options.chromium, headless: true, args: flags, viewport: { width: 1440, height: 1100 }, colorScheme: 'light',
});
browser.setDefaultTimeout(patience);
try {
  const [alice, bob, carol] = [await browser.newPage(), await browser.newPage(), await browser.newPage()];
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
} catch (error) {
  for (const [i, page] of browser.pages().entries()) {
    await page.screenshot({ path: join(options.pictures, `meeting-failed-${i}.png`) }).catch(() => {});
    say(`page ${i}`, await page.locator('body').innerText().catch(() => ''));
  }
  throw error;
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
  process.stdin.destroy();
}
