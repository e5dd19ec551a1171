// Drives two pages of the web client through one call and prints, as one line of
// JSON, what they showed. The Go test beside it starts the server, runs this with
// its options as JSON in the first argument, and compares the pages with what the
// server saw.

import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, firefox } from 'playwright-core';

/**
 * @typedef {object} Options
 * @property {string} url of the page
 * @property {string} chromium the program
 * @property {string} firefox the program; with it, the caller's page is in it
 * @property {boolean} dtls12 Firefox has no later version of DTLS
 * @property {'any' | 'udp' | 'tcp' | 'tls'} transport
 * @property {boolean} forceRelay
 * @property {string} caller
 * @property {string} callee
 * @property {Record<string, string>} passwords by user
 * @property {Record<string, string>} totp by user: secrets of second factors, in base32
 * @property {string} provider other issuer to sign in with; empty is the server's own
 * @property {string[] | null} interrupt a command that makes both pages' tokens void
 * @property {boolean} bare the callee has neither camera nor microphone
 * @property {boolean} thorough also mute, hold, restart, with pictures of each
 * @property {number} linger ms in the call before its picture is taken: the charts fill
 * @property {boolean} pictured also pictures of the sign-in and of the call
 * @property {string} name with which files of pictures begin
 * @property {string} pictures folder for screenshots
 */

/** @type {Options} */
const options = JSON.parse(process.argv[2]);
const { caller, callee } = options;
const patience = 30_000;

// The server's certificate is of an authority that lives for one test. For the page
// ignoreHTTPSErrors would do, but the certificate of TURN over TLS is checked by the
// browser's network service, which only --ignore-certificate-errors tells to take
// any: without it there is icecandidateerror 701. Browsers leave loopback out of
// their networks; on a machine without another one it is all that there is.
const flags = [
  '--ignore-certificate-errors', '--allow-loopback-in-peer-connection',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

// The same for Firefox: devices that need no permission, and candidates on loopback.
const preferences = {
  'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true, 'media.autoplay.default': 0,
  ...(options.dtls12 && { 'media.peerconnection.dtls.version.max': 0x0303 }),
};

/** @typedef {import('playwright-core').Page} Page */

/** @param {string} step @param {...unknown} more */
const say = (step, ...more) => console.error(new Date().toISOString().slice(11, 23), step, ...more);

/** @param {Page} page @param {string} name */
async function picture(page, name) {
  await page.screenshot({ path: join(options.pictures, `${options.name}-${name}.png`) });
}

/** The code of now, as an authenticator app shows it (RFC 6238). @param {string} secret */
function code(secret) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const sum = createHmac('sha1', key).update(step).digest();
  const number = sum.readUInt32BE(sum[sum.length - 1] & 15) & 0x7fff_ffff;
  return String(number % 1_000_000).padStart(6, '0');
}

/** @param {Page} page @param {string} user */
async function signIn(page, user) {
  page.on('console', (message) => say(`${user} console`, message.type(), message.text()));
  page.on('pageerror', (error) => {
    // What a policy forbids, Chromium tells on the console and Firefox as an error: the
    // style that playwright adds for a picture, the icon that a browser looks for.
    if (!String(error).includes('Content-Security-Policy')) throw error;
  });
  await page.goto(options.url);
  await page.locator('#sign-in-here:focus').waitFor();
  if (options.pictured && user === caller) await picture(page, 'sign-in');
  if (options.provider) await page.getByRole('button', { name: `Sign in with ${options.provider}` }).focus();
  await page.keyboard.press('Enter');
  await page.getByLabel('User').fill(user.split('@')[0]);
  if (user === caller) {
    await page.getByLabel('Password').fill('a wrong password');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').filter({ hasText: 'unknown user or wrong password' }).waitFor();
  }
  if (options.pictured && user === caller) await picture(page, 'issuer');
  await page.getByLabel('Password').fill(options.passwords[user]);
  await page.keyboard.press('Enter');
  if (options.totp?.[user]) {
    await page.getByLabel('Code from your authenticator app').waitFor();
    if (options.pictured) await picture(page, 'second-factor');
    await page.keyboard.type(code(options.totp[user]));
    await page.keyboard.press('Enter');
  }
  await page.locator('#presence[data-state="connected"]').waitFor();
  if (new URL(page.url()).search !== '') throw new Error(`the code is left in the page's URL: ${page.url()}`);
  await page.locator('#force-relay').setChecked(options.forceRelay, { force: true });
  await page.getByLabel('Transport to the relay').selectOption(options.transport);
}

/**
 * Frames of the other side that have been shown. Firefox does not count those of a
 * stream, but numbers each that it shows. @param {Page} page
 */
const frames = (page) => page.evaluate((numbered) => new Promise((/** @type {(frames: number) => void} */ resolve) => {
  const video = /** @type {HTMLVideoElement} */ (document.getElementById('remote'));
  if (numbered) video.requestVideoFrameCallback((_, frame) => resolve(frame.presentedFrames));
  else resolve(video.getVideoPlaybackQuality().totalVideoFrames);
}), page.context() === other?.contexts()[0]);

/** Waits until frames have come that were not there before. @param {Page} page @param {number} more */
async function advance(page, more) {
  const before = await frames(page);
  const until = Date.now() + patience;
  for (let after = before; ; after = await frames(page)) {
    if (after >= before + more) return { before, after };
    if (Date.now() > until) throw new Error(`${after - before} frames in ${patience} ms, wanted ${more}`);
    await page.waitForTimeout(100);
  }
}

/** What a page's panel shows. @param {Page} page */
const facts = (page) => page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-fact]')].map((e) => [e.getAttribute('data-fact'), e.textContent])));

/** @param {Page} page @param {string} text */
const inLog = (page, text) => page.locator('#log li', { hasText: text }).first().waitFor();

const profile = mkdtempSync(join(tmpdir(), 'callpath-chromium-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: options.chromium, headless: true, args: flags, viewport: { width: 1440, height: 960 }, colorScheme: 'light',
});
browser.setDefaultTimeout(patience);
// Debian's Firefox understands WebDriver BiDi; playwright has it as a channel.
const other = options.firefox
  ? await firefox.launch({ executablePath: options.firefox, channel: 'moz-firefox', headless: true, firefoxUserPrefs: preferences })
  : null;
const context = other ? await other.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 960 }, colorScheme: 'light' }) : browser;
context.setDefaultTimeout(patience);
try {
  const alice = await context.newPage();
  const bob = await browser.newPage();
  if (options.bare) {
    await bob.addInitScript(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
    });
  }
  await signIn(alice, caller);
  await signIn(bob, callee);
  if (options.thorough) await picture(alice, 'ready');

  if (options.interrupt) execFileSync(options.interrupt[0], options.interrupt.slice(1));
  say('call');
  await alice.keyboard.press('Escape');
  await alice.locator('#callee').fill(callee);
  await alice.keyboard.press('Enter');
  await bob.locator('#incoming[open]').waitFor();
  const focused = await bob.evaluate(() => document.activeElement?.id);
  await alice.locator('#call-state', { hasText: 'ringing' }).waitFor();
  if (options.thorough) {
    await picture(bob, 'incoming');
    await picture(alice, 'ringing');
  }
  await bob.keyboard.press('a');

  say('connect');
  for (const page of [alice, bob]) {
    await page.locator('#call-state', { hasText: 'connected' }).waitFor();
    // Who is sent nothing sees that, too.
    if (!(options.bare && page === alice)) await page.locator('[data-step="media"][data-state="done"]').waitFor();
    await page.locator('[data-side="remote"][data-matched="true"]').waitFor();
  }
  const advanced = { [caller]: options.bare ? null : await advance(alice, 30), [callee]: await advance(bob, 30) };
  const shown = { [caller]: await alice.locator('#cover-text').textContent(), [callee]: await bob.locator('#notice').textContent() };
  const panels = { [caller]: await facts(alice), [callee]: await facts(bob) };

  /** @type {string[]} */
  const done = [];
  if (options.pictured) {
    await alice.waitForTimeout(options.linger);
    await picture(alice, 'in-call');
    await picture(bob, 'in-call-callee');
  }
  if (options.thorough) {
    await alice.screenshot({ path: join(options.pictures, 'whole-light.png'), fullPage: true });
    await alice.emulateMedia({ colorScheme: 'dark' });
    await picture(alice, 'in-call-dark');
    await alice.screenshot({ path: join(options.pictures, 'whole-dark.png'), fullPage: true });
    await alice.emulateMedia({ colorScheme: 'light' });

    say('mute, hold');
    await alice.keyboard.press('m');
    await alice.locator('#mute[aria-pressed="true"]').waitFor();
    await alice.keyboard.press('m');
    await alice.keyboard.press('h');
    await bob.locator('#call-state', { hasText: 'put you on hold' }).waitFor();
    await picture(bob, 'on-hold');
    await alice.keyboard.press('h');
    await bob.locator('#call-state', { hasText: 'connected' }).waitFor();
    await inLog(bob, 'resumed the call');
    await advance(bob, 15);
    await advance(alice, 15);
    done.push('hold');

    say('restart');
    const path = await alice.locator('[data-fact="local-address"]').textContent();
    await alice.keyboard.press('r');
    await inLog(bob, 'new offer (ICE restart)');
    await alice.waitForFunction((old) => {
      const now = document.querySelector('[data-fact="local-address"]')?.textContent;
      return now !== old && now !== '–';
    }, path);
    await advance(alice, 15);
    done.push('restart');

    say('glare');
    // Alice's offer is kept back until Bob's has been taken.
    const taken = bob.waitForResponse((response) => response.url().endsWith('/description'));
    /** @type {() => void} */
    let kept = () => {};
    const keeping = new Promise((resume) => { kept = () => resume(undefined); });
    await alice.route('**/description', async (route) => {
      kept();
      await taken;
      await route.continue();
    }, { times: 1 });
    await alice.locator('#hold').click();
    await keeping;
    await bob.locator('#hold').click();
    await inLog(alice, 'offers crossed (glare)');
    await Promise.all([inLog(alice, 'put the call on hold'), bob.locator('#log li', { hasText: 'put the call on hold' }).nth(1).waitFor()]);
    for (const page of [alice, bob]) await page.locator('#hold').click();
    for (const page of [alice, bob]) await page.locator('#call-state', { hasText: /^connected$/ }).waitFor();
    await advance(alice, 15);
    await advance(bob, 15);
    done.push('glare');

    await alice.setViewportSize({ width: 390, height: 844 });
    await picture(alice, 'narrow');
    await alice.screenshot({ path: join(options.pictures, 'whole-narrow.png'), fullPage: true });
    await alice.setViewportSize({ width: 1440, height: 960 });
  }

  say('hang up');
  await bob.keyboard.press('e');
  await alice.locator('#notice', { hasText: 'ended' }).waitFor();
  for (const page of [alice, bob]) await inLog(page, 'telemetry sent');
  if (options.thorough) await picture(alice, 'ended');
  const logs = Object.fromEntries(await Promise.all([[caller, alice], [callee, bob]].map(async ([name, page]) => [name, await /** @type {Page} */ (page).locator('#log li').allTextContents()])));
  const signedOut = alice.waitForRequest((request) => request.url().endsWith('/oauth2/revoke'));
  await alice.locator('#sign-out').click();
  await signedOut;
  await alice.locator('#sign-in-here:focus').waitFor();
  console.log(JSON.stringify({ panels, advanced, shown, focused, done, logs }));
} catch (error) {
  for (const [i, page] of [...new Set([...context.pages(), ...browser.pages()])].entries()) {
    await page.screenshot({ path: join(options.pictures, `${options.name}-failed-${i}.png`) }).catch(() => {});
    say(`page ${i}`, await page.locator('body').innerText().catch(() => ''));
  }
  throw error;
} finally {
  await other?.close();
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
