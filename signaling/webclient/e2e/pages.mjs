// What the tests of meetings share: pages in Chromium, and what is read from them. A
// script prints a line of JSON for each stage that it comes to, with what its pages show,
// and goes on when it reads a line from the Go test that has started it.

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
 * @property {string} name with which files of pictures begin
 */

/** @type {Options} */
export const options = JSON.parse(process.argv[2]);
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
export const say = (step, ...more) => console.error(new Date().toISOString().slice(11, 23), step, ...more);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Tells the test how far this is, and waits until it says to go on. @param {string} name @param {object} [shown] */
export async function stage(name, shown = {}) {
  say(name);
  console.log(JSON.stringify({ stage: name, ...shown }));
  if ((await lines.next()).done) throw new Error('the test has ended');
}

/** @param {Page} page @param {string} name */
export const picture = (page, name) => page.screenshot({ path: join(options.pictures, `${options.name}-${name}.png`) });

/** @param {Page} page @param {string} user @param {string} [link] */
export async function signIn(page, user, link = options.url) {
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
export async function perceives(page, others) {
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
export const facts = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-fact]')].map((e) => [e.getAttribute('data-fact'), e.textContent])));

/** @param {Page} page @param {string} text */
export async function write(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
  await page.locator('#chat-log li', { hasText: text }).waitFor();
}

/** Runs a script with a browser, and keeps pictures of its pages when it fails. @param {(newPage: () => Promise<Page>) => Promise<void>} script */
export async function withBrowser(script) {
  const profile = mkdtempSync(join(tmpdir(), 'callpath-chromium-'));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: options.chromium, headless: true, args: flags, viewport: { width: 1440, height: 1100 }, colorScheme: 'light',
  });
  browser.setDefaultTimeout(patience);
  try {
    await script(() => browser.newPage());
  } catch (error) {
    for (const [i, page] of browser.pages().entries()) {
      await picture(page, `failed-${i}`).catch(() => {});
      say(`page ${i}`, await page.locator('body').innerText().catch(() => ''));
    }
    throw error;
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
    process.stdin.destroy();
  }
}
