// Tests of the modules that need no browser, by node's own test runner:
//     node --test signaling/webclient/e2e/modules.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../static/api.js';
import { configuration, transportOf, Trickle } from '../static/ice.js';
import { Journal } from '../static/journal.js';
import { Negotiation } from '../static/negotiation.js';
import { target } from '../static/meeting.js';
import { fingerprints, held, marked, ufrag } from '../static/sdp.js';
import { check, claims, refusal, SignIn, SignInError } from '../static/signin.js';

/** @param {string} sdp @returns {any} */
const description = (sdp, type = 'offer') => ({ type, sdp });

/** Takes the place of setTimeout for one test. @param {import('node:test').TestContext} t */
function fakeClock(t) {
  const { setTimeout, clearTimeout } = globalThis;
  t.after(() => Object.assign(globalThis, { setTimeout, clearTimeout }));
  /** @type {Map<number, {at: number, run: () => void}>} */
  const waiting = new Map();
  let now = 0;
  let last = 0;
  Object.assign(globalThis, {
    setTimeout: (/** @type {() => void} */ run, /** @type {number} */ ms) => {
      waiting.set(++last, { at: now + ms, run });
      return last;
    },
    clearTimeout: (/** @type {number} */ id) => waiting.delete(id),
  });
  return {
    /** @param {number} ms */
    tick(ms) {
      now += ms;
      for (const [id, { at, run }] of waiting) {
        if (at > now) continue;
        waiting.delete(id);
        run();
      }
    },
  };
}

/** Lets all that waits for nothing but its turn go on. */
const settle = () => new Promise((resume) => setImmediate(resume));

test('a URI says how the relay is reached (RFC 7065)', () => {
  for (const [url, want] of Object.entries({
    'turn:relay.example': 'udp',
    'turn:relay.example:3478?transport=udp': 'udp',
    'turn:relay.example:3478?transport=tcp': 'tcp',
    'turns:relay.example': 'tls',
    'turns:relay.example:443?transport=tcp': 'tls',
    'turns:relay.example?transport=udp': 'dtls',
    'stun:relay.example': 'stun',
  })) assert.equal(transportOf(url), want, url);
});

test('only servers of the wanted transport are used, and STUN only where it is of use', () => {
  const servers = [{ urls: ['stun:a', 'turn:a', 'turn:a?transport=tcp', 'turns:a', 'turns:a?transport=udp'], username: 'u', credential: 'c' }];
  for (const [transport, forceRelay, want] of /** @type {const} */ ([
    ['any', false, ['stun:a', 'turn:a', 'turn:a?transport=tcp', 'turns:a']],
    ['any', true, ['turn:a', 'turn:a?transport=tcp', 'turns:a']],
    ['udp', false, ['stun:a', 'turn:a']],
    ['tcp', true, ['turn:a?transport=tcp']],
    ['tls', false, ['turns:a']],
  ])) {
    const got = configuration(servers, { forceRelay, transport });
    assert.deepEqual(got.iceServers, [{ urls: want, username: 'u', credential: 'c' }], `${transport}, ${forceRelay}`);
    assert.equal(got.iceTransportPolicy, forceRelay ? 'relay' : 'all');
  }
  assert.deepEqual(configuration([{ urls: ['turn:a'] }], { forceRelay: true, transport: 'tls' }).iceServers, []);
});

test('a side holds when no media in use receives (RFC 3264, section 8.4)', () => {
  const session = 'v=0\r\ns=-\r\n';
  const media = (/** @type {string[]} */ ...directions) => session + directions.map((d) => `m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=${d}\r\n`).join('');
  for (const [sdp, want] of /** @type {const} */ ([
    [media('sendrecv'), false],
    [media('sendonly'), true],
    [media('inactive', 'sendonly'), true],
    [media('sendonly', 'recvonly'), false],
    [`${session}a=sendonly\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n`, true],
    [`${session}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n`, false],
    [`${media('sendonly')}m=video 0 UDP/TLS/RTP/SAVPF 0\r\na=sendrecv\r\n`, true], // refused
    [`${media('sendonly')}m=video 0 UDP/TLS/RTP/SAVPF 0\r\na=bundle-only\r\na=sendrecv\r\n`, false],
    [`${media('sendonly')}m=application 9 UDP/DTLS/SCTP x\r\n`, true],
    [session, false],
  ])) assert.equal(held(description(sdp)), want, sdp);
  assert.equal(held(null), false);
});

test('fingerprints are read once each, whatever their case (RFC 8122)', () => {
  const sdp = 'v=0\r\na=fingerprint:SHA-256 ab:CD\r\nm=audio 9 x 0\r\na=fingerprint:sha-256 AB:CD\r\na=fingerprint:sha-384 01\r\na=ice-ufrag:abcd\r\n';
  assert.deepEqual(fingerprints(description(sdp)), [{ algorithm: 'sha-256', value: 'AB:CD' }, { algorithm: 'sha-384', value: '01' }]);
  assert.equal(ufrag(description(sdp)), 'abcd');
});

test('candidates wait for their description, go out in order, and are forgotten with it', async (t) => {
  const clock = fakeClock(t);
  /** @type {string[][]} */
  const sent = [];
  const trickle = new Trickle(async (batch) => sent.push(batch.map((c) => c.candidate ?? '')), assert.fail);
  const add = (/** @type {string} */ candidate) => trickle.add(/** @type {any} */ ({ candidate }));
  add('one');
  clock.tick(1000);
  assert.deepEqual(sent, []);
  trickle.release();
  add('two');
  trickle.add(null);
  clock.tick(1000);
  await settle();
  assert.deepEqual(sent, [['one', 'two', '']]);
  trickle.hold();
  add('void');
  trickle.drop();
  trickle.release();
  add('three');
  clock.tick(1000);
  await settle();
  assert.deepEqual(sent, [['one', 'two', ''], ['three']]);
});

/** As much of an RTCPeerConnection as Negotiation uses: its states are W3C's. */
class FakeConnection extends EventTarget {
  signalingState = 'stable';
  /** @type {any} */
  localDescription = null;
  /** @type {any} */
  remoteDescription = null;
  /** @type {string[]} */
  did = [];
  restartIce() {
    this.did.push('restart');
  }
  /** @param {any} [d] */
  async setLocalDescription(d) {
    if (d) {
      this.did.push(`local ${d.type}`);
      this.signalingState = 'stable';
      return;
    }
    const answers = this.signalingState === 'have-remote-offer';
    this.signalingState = answers ? 'stable' : 'have-local-offer';
    this.localDescription = description(`ours ${this.did.length}`, answers ? 'answer' : 'offer');
    this.did.push(`local ${this.localDescription.type}`);
  }
  /** @param {any} d */
  async setRemoteDescription(d) {
    if (d.type === 'offer' && this.signalingState !== 'stable') throw new Error(`an offer in ${this.signalingState}`);
    this.did.push(`remote ${d.type}`);
    this.signalingState = d.type === 'offer' ? 'have-remote-offer' : 'stable';
    if (d.type !== 'rollback') this.remoteDescription = d;
  }
  async addIceCandidate() {}
}

/** @param {(body: any) => void} refuse throws for what the controller refuses */
function negotiate(refuse) {
  const pc = new FakeConnection();
  pc.remoteDescription = description('a=ice-ufrag:first\r\n', 'answer');
  /** @type {string[]} */
  const sent = [];
  const negotiation = new Negotiation(
    /** @type {any} */ (pc),
    async (_, body) => {
      const { type } = /** @type {any} */ (body).description;
      refuse(type);
      sent.push(type);
    },
    async () => {},
    new Journal(() => {}),
  );
  return { pc, sent, negotiation };
}

test('crossing offers: the one refused is rolled back, the other answered, and ours made again', async (t) => {
  const clock = fakeClock(t);
  let crossing = true;
  const { pc, sent, negotiation } = negotiate((type) => {
    if (type === 'offer' && crossing) throw new Problem(409, { code: 'glare', retry_after_ms: 2100 });
  });
  await negotiation.offer({ reason: 'hold', restart: false });
  assert.deepEqual(pc.did, ['local offer', 'local rollback']);
  crossing = false;
  await negotiation.update(description('a=ice-ufrag:first\r\n'));
  assert.deepEqual(sent, ['answer'], 'ours waits, although nothing is outstanding');
  clock.tick(2100);
  await settle();
  assert.deepEqual(sent, ['answer', 'offer']);
  negotiation.close();
});

test('a restart that the other side has made meanwhile is not made again', async (t) => {
  const clock = fakeClock(t);
  const { sent, negotiation } = negotiate((type) => {
    if (type === 'offer') throw new Problem(409, { code: 'glare', retry_after_ms: 500 });
  });
  await negotiation.offer({ reason: 'ICE restart', restart: true });
  await negotiation.update(description('a=ice-ufrag:second\r\n'));
  clock.tick(500);
  await settle();
  assert.deepEqual(sent, ['answer']);
  negotiation.close();
});

test('wishes that wait for an answer are granted together', async () => {
  const { pc, sent, negotiation } = negotiate(() => {});
  await negotiation.offer({ reason: 'hold', restart: false });
  await negotiation.offer({ reason: 'resume', restart: false });
  await negotiation.offer({ reason: 'ICE restart', restart: true });
  assert.deepEqual(sent, ['offer']);
  await negotiation.update(description('a=ice-ufrag:first\r\n', 'answer'));
  assert.deepEqual(pc.did, ['local offer', 'remote answer', 'restart', 'local offer']);
  negotiation.close();
});

test('an offer that nobody answers is withdrawn', async (t) => {
  const clock = fakeClock(t);
  const { pc, sent, negotiation } = negotiate(() => {});
  await negotiation.offer({ reason: 'hold', restart: false });
  clock.tick(15_000);
  await settle();
  assert.deepEqual(sent, ['offer', 'rollback']);
  assert.equal(pc.signalingState, 'stable');
  negotiation.close();
});

test('an offer that cannot be used is declined', async () => {
  const { pc, sent, negotiation } = negotiate(() => {});
  pc.setLocalDescription = async (d) => {
    if (!d) throw new Error('no');
  };
  await negotiation.update(description('a=ice-ufrag:first\r\n'));
  assert.deepEqual(sent, ['rollback']);
  assert.deepEqual(pc.did, ['remote offer', 'remote rollback']);
  negotiation.close();
});

/** A token with claims, whose signature the page does not read. @param {object} body */
const token = (body) => ['{}', JSON.stringify(body), 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.');

test('an ID token that is not for this sign-in is refused (OpenID Connect Core, 3.1.3.7)', () => {
  const provider = { name: '', issuer: 'https://issuer.example', client: 'web' };
  const good = { iss: 'https://issuer.example', aud: ['other', 'web'], nonce: 'n', sub: 'Zoë' };
  check(claims(token(good)), provider, 'n');
  check({ ...good, aud: 'web' }, provider, 'n');
  assert.equal(claims(token(good)).sub, 'Zoë');
  for (const wrong of [{ iss: 'https://evil.example' }, { aud: 'other' }, { aud: undefined }, { nonce: 'another' }, { nonce: undefined }]) {
    assert.throws(() => check({ ...good, ...wrong }, provider, 'n'), SignInError, JSON.stringify(wrong));
  }
  for (const text of ['', 'a', 'a.!.c', `a.${Buffer.from('no JSON').toString('base64url')}.c`]) assert.throws(() => claims(text), SignInError, text);
});

test('a refusal is told in words', () => {
  assert.equal(refusal('access_denied', 'the rule "Office only" refuses this sign-in'), 'The sign-in was refused: the rule "Office only" refuses this sign-in.');
  assert.equal(refusal('access_denied', ''), 'The sign-in was refused.');
  assert.equal(refusal('invalid_grant', 'the code is too old'), 'The code is too old.');
  assert.equal(refusal('server_error', ''), 'The issuer has answered server_error.');
});

/**
 * A page with its address, its storage and the answers of a server, each once and in
 * this order.
 * @param {import('node:test').TestContext} t
 * @param {string} search
 * @param {any} pending
 * @param {[number, any][]} answers
 */
function page(t, search, pending, answers = []) {
  const before = { location: globalThis.location, history: globalThis.history, sessionStorage: globalThis.sessionStorage, fetch: globalThis.fetch };
  t.after(() => Object.assign(globalThis, before));
  /** @type {string[]} */
  const asked = [];
  const kept = new Map(pending ? [['callpath.sign-in', JSON.stringify(pending)]] : []);
  /** @type {string[]} */
  const shown = [];
  Object.assign(globalThis, {
    location: { search, origin: 'https://page.example', pathname: '/' },
    history: { replaceState: (/** @type {any} */ _, /** @type {any} */ __, /** @type {string} */ url) => shown.push(url) },
    sessionStorage: { getItem: (/** @type {string} */ k) => kept.get(k) ?? null, removeItem: (/** @type {string} */ k) => kept.delete(k) },
    fetch: async (/** @type {string} */ url, /** @type {any} */ init) => {
      asked.push(`${url} ${init?.body ?? ''}`);
      const [status, body] = answers.shift() ?? [500, {}];
      return new Response(JSON.stringify(body), { status });
    },
  });
  return { asked, kept, shown };
}

const settings = { issuer: 'https://issuer.example', path: '/calls', client: 'web', external_only: false, external: [{ name: 'contoso', issuer: 'https://contoso.example', client: 'abc' }] };
const begun = { issuer: 'https://issuer.example', state: 's', nonce: 'n', verifier: 'v' };
const idToken = token({ iss: 'https://issuer.example', aud: 'web', nonce: 'n' });
const access = token({ sub: 'alice', name: 'Alice' });

test('a code is exchanged twice: for tokens, and those for an access token', async (t) => {
  const { asked, kept, shown } = page(t, '?code=c&state=s&iss=https%3A%2F%2Fissuer.example', begun, [
    [200, { access_token: 'application', id_token: idToken, refresh_token: 'r1' }], [200, { access_token: access, scope: 'voip chat' }],
    [200, { access_token: 'next', refresh_token: 'r2' }], [200, { access_token: access, scope: 'voip' }],
  ]);
  const signIn = new SignIn(settings);
  const session = await signIn.finish();
  assert.ok(session);
  assert.deepEqual([session.user, session.name, session.token, session.refresh], ['alice', 'Alice', access, 'r1']);
  assert.deepEqual(shown, ['/'], 'the code is left in the address');
  assert.equal(kept.size, 0, 'the verifier is left behind');
  assert.match(asked[0], /^https:\/\/page\.example\/calls\/oauth2\/token .*code=c&redirect_uri=https%3A%2F%2Fpage\.example%2F&code_verifier=v$/);
  assert.match(asked[1], /token-exchange&client_id=web&subject_token=application&/);
  // Two who want a new token get it by one refresh: the token for it is good once.
  await Promise.all([signIn.renew(session), signIn.renew(session)]);
  assert.equal(asked.length, 4);
  assert.equal(session.refresh, 'r2');
});

for (const [name, search, pending, answers, want] of /** @type {[string, string, any, [number, any][], RegExp][]} */ ([
  ['that this page did not begin', '?code=c&state=s&iss=https%3A%2F%2Fissuer.example', null, [], /did not begin/],
  ['with another state', '?code=c&state=x&iss=https%3A%2F%2Fissuer.example', begun, [], /did not begin/],
  ['of another issuer', '?code=c&state=s&iss=https%3A%2F%2Fevil.example', begun, [], /another issuer/],
  ['that names no issuer', '?code=c&state=s', begun, [], /another issuer/],
  ['that is a refusal', '?error=access_denied&error_description=the+rule+refuses&state=s&iss=https%3A%2F%2Fissuer.example', begun, [], /refused: the rule refuses\.$/],
  ['whose code is refused', '?code=c&state=s&iss=https%3A%2F%2Fissuer.example', begun, [[400, { error: 'invalid_grant', error_description: 'the code is too old' }]], /^The code is too old\.$/],
  ['whose token may not call', '?code=c&state=s&iss=https%3A%2F%2Fissuer.example', begun, [[200, { access_token: 'a', id_token: idToken }], [200, { access_token: access, scope: 'chat' }]], /lacks the scope voip/],
])) {
  test(`an answer ${name} signs nobody in`, async (t) => {
    const { kept } = page(t, search, pending, answers);
    await assert.rejects(new SignIn(settings).finish(), (error) => error instanceof SignInError && want.test(error.message));
    assert.equal(kept.size, 0);
  });
}

test('a page that nobody has led back signs nobody in', async (t) => {
  page(t, '', begun);
  assert.equal(await new SignIn(settings).finish(), null);
});

test('what is typed to join is a link or an ID', () => {
  const uuid = '0b8f8a0e-6f0e-4b0e-9c0e-3f0e6f0e4b0e';
  for (const [text, want] of /** @type {[string, unknown][]} */ ([
    ['https://calls.example/?meeting=a_b-C', { kind: 'meetings', id: 'a_b-C' }],
    [` https://calls.example/?group=${uuid} `, { kind: 'groups', id: uuid }],
    [uuid, { kind: 'groups', id: uuid }],
    ['u_HkuEsHm-BY4y61lI8w6Q', { kind: 'meetings', id: 'u_HkuEsHm-BY4y61lI8w6Q' }],
    ['https://calls.example/', null],
    ['https://', null],
    ['a/b', null],
    ['', null],
  ])) assert.deepEqual(target(text), want, text);
});

test('a shared screen is marked in its own m-line, and nothing else is (RFC 4796)', () => {
  const [session, camera, screen, more] = ['v=0\r\n', 'm=video 9 X 96\r\na=mid:1\r\n', 'm=video 9 X 96\r\na=mid:12\r\n', 'm=video 9 X 96\r\na=mid:2\r\n'];
  const sdp = session + camera + screen + more;
  assert.equal(marked(sdp, null), sdp);
  assert.equal(marked(sdp, '12'), `${session}${camera}${screen}a=content:slides\r\n${more}`);
});

test('that the peer is alerted or has answered may be told before the invite is', async (t) => {
  // The class needs the name of a browser's only to be made.
  const browser = /** @type {any} */ (globalThis);
  browser.MediaStream = class {};
  t.after(() => delete browser.MediaStream);
  const { Call } = await import('../static/call.js');
  const api = /** @type {any} */ ({});
  const call = new Call(api, 'bob', 'outgoing', { forceRelay: false, transport: 'any' }, new Journal(() => {}));
  const told = async (/** @type {any} */ type) => {
    await call.take(/** @type {any} */ ({ seq: 1, type }));
    return call.state;
  };
  assert.equal(await told('ringing'), 'ringing');
  assert.equal(await told('answer'), 'connecting');
});
