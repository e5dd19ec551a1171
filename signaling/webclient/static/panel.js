// The panel beside a call: what has been negotiated, and how well it does.

import { Chart } from './chart.js';
import { byId, make, setText } from './dom.js';

/** @typedef {import('./inspect.js').Sample} Sample */
/** @typedef {import('./inspect.js').Candidate} Candidate */

/**
 * What the panel follows: a Call, or a Meeting with its leg to the media processor.
 * @typedef {EventTarget & {id: string, peer: string, state: string, over: boolean, reason: string, restarts: number,
 *   heldHere: boolean, heldThere: boolean, sample: Sample | null, journal: import('./journal.js').Journal}} Followed
 */

/** What stands where a browser tells nothing. */
const untold = 'not told by this browser';
const none = '–';

const ms = (/** @type {number} */ s) => `${(1000 * s).toFixed(s < 0.01 ? 1 : 0)} ms`;
const percent = (/** @type {number} */ f) => `${(100 * f).toFixed(1)} %`;
const bits = (/** @type {number} */ b) => (b >= 1e6 ? `${(b / 1e6).toFixed(2)} Mbit/s` : `${(b / 1e3).toFixed(0)} kbit/s`);

const typeNames = { host: 'host', srflx: 'server reflexive', prflx: 'peer reflexive', relay: 'relay' };

export class Panel {
  #charts = {
    rtt: new Chart({ title: 'Round trip', series: ['path'], format: ms, floor: 0.01 }),
    loss: new Chart({ title: 'Loss', series: ['in', 'out'], format: percent, floor: 0.02 }),
    bitrate: new Chart({ title: 'Bitrate', series: ['in', 'out'], format: bits, floor: 100e3 }),
    jitter: new Chart({ title: 'Jitter', series: ['audio', 'video'], format: ms, floor: 0.01 }),
  };
  /** @type {Map<string, Element>} */
  #facts = new Map();
  /** @type {Map<string, Element>} */
  #steps = new Map();
  /** @type {Map<Element, string>} */
  #tables = new Map(); // what each shows, so that it is made anew only when it changes
  /** @type {Followed | null} */
  #call = null;

  constructor() {
    byId('charts').append(...Object.values(this.#charts).map((chart) => chart.element));
    for (const e of document.querySelectorAll('[data-fact]')) this.#facts.set(e.getAttribute('data-fact') ?? '', e);
    for (const e of document.querySelectorAll('[data-step]')) this.#steps.set(e.getAttribute('data-step') ?? '', e);
    byId('copy').addEventListener('click', () => void this.#copy());
  }

  /** Shows a new call from now on. @param {Followed} call */
  follow(call) {
    this.#call = call;
    for (const chart of Object.values(this.#charts)) chart.clear();
    for (const name of this.#facts.keys()) this.#fact(name, none);
    for (const id of ['pairs', 'candidates']) this.#table(byId(id), []);
    for (const id of ['pair-count', 'candidate-count', 'event-count']) setText(byId(id), '');
    byId('log').replaceChildren();
    for (const entry of call.journal.entries) this.log(entry);
    call.addEventListener('change', () => this.#call === call && this.#progress(call));
    call.addEventListener('sample', () => this.#call === call && call.sample && this.#show(call, call.sample));
    this.#progress(call);
  }

  /** Adds to the event log. @param {import('./journal.js').Entry} entry */
  log(entry) {
    const log = byId('log');
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    const item = make('li', { 'data-layer': entry.layer }, make('time', {}, `${(entry.at / 1000).toFixed(2)} s`), make('b', {}, entry.layer), make('span', {}, entry.text));
    if (entry.bad) item.classList.add('bad');
    log.append(item);
    while (log.childElementCount > 500) log.firstElementChild?.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
    setText(byId('event-count'), String(log.childElementCount));
  }

  /** @param {Followed} call @param {Sample} sample */
  #show(call, sample) {
    this.#path(sample);
    this.#security(sample);
    this.#quality(sample);
    this.#pairs(sample);
    this.#candidates(sample);
    this.#progress(call);
  }

  /** @param {Sample} sample */
  #path({ selected }) {
    const { local, remote } = selected ?? {};
    this.#fact('local-type', local ? name(local) : none);
    this.#fact('local-address', local ? address(local) : none);
    this.#fact('remote-type', remote ? name(remote) : none);
    this.#fact('remote-address', remote ? address(remote) : none);
    this.#fact('protocol', local ? (local.relayProtocol ?? local.protocol).toUpperCase() : none);
    this.#fact('media-protocol', local ? local.protocol : none);
    this.#fact('relay-protocol', local ? (local.type === 'relay' ? (local.relayProtocol ?? untold) : 'no relay of ours') : none);
    this.#fact('relay-url', local?.url ?? (local?.type === 'relay' ? untold : none));
    byId('path').dataset.relayed = String(local?.type === 'relay' || remote?.type === 'relay');
  }

  /** @param {Sample} sample */
  #security({ dtls, fingerprints, iceRole }) {
    this.#fact('dtls-state', dtls.state);
    const done = dtls.state === 'connected';
    this.#fact('dtls-version', dtls.version ?? (done ? untold : none));
    this.#fact('dtls-cipher', dtls.cipher ?? (done ? untold : none));
    this.#fact('srtp-profile', dtls.srtp ?? (done ? untold : none));
    const roles = [dtls.role && `DTLS ${dtls.role}`, iceRole && `ICE ${iceRole}`].filter(Boolean);
    this.#fact('roles', roles.length > 0 ? roles.join(', ') : none);
    for (const side of /** @type {const} */ (['local', 'remote'])) {
      const print = fingerprints[side];
      this.#fact(`${side}-fingerprint`, print ? print.promised : none);
      const verdict = !print ? none : print.matched === null ? (done ? 'checked by the browser only' : 'no certificate yet') : print.matched ? 'matches the certificate' : 'DOES NOT MATCH the certificate';
      this.#fact(`${side}-match`, verdict);
      const box = this.#facts.get(`${side}-match`)?.parentElement;
      if (box) box.dataset.matched = String(print?.matched ?? '');
    }
  }

  /** @param {Sample} sample */
  #quality({ rtt, loss, bitrate, jitter, streams }) {
    this.#charts.rtt.add(rtt);
    this.#charts.loss.add(loss.in, loss.out);
    this.#charts.bitrate.add(bitrate.in, bitrate.out);
    this.#charts.jitter.add(jitter.audio, jitter.video);
    const text = (/** @type {import('./inspect.js').Stream | null} */ s) =>
      s ? [s.codec, s.width && `${s.width} × ${s.height}`, s.frames !== null && `${Math.round(s.frames)} frames/s`].filter(Boolean).join(', ') : none;
    this.#fact('audio', text(streams.audio));
    this.#fact('video-in', text(streams.videoIn));
    this.#fact('video-out', text(streams.videoOut));
  }

  /** @param {Sample} sample */
  #pairs({ pairs }) {
    const rank = (/** @type {import('./inspect.js').Pair} */ p) => (p.selected ? 0 : p.state === 'succeeded' ? 1 : p.state === 'in-progress' ? 2 : 3);
    const rows = [...pairs].sort((a, b) => rank(a) - rank(b)).slice(0, 50).map((p) => ({
      cells: [p.local ? `${name(p.local)} ${address(p.local)}` : '?', p.remote ? `${name(p.remote)} ${address(p.remote)}` : '?', p.selected ? 'selected' : p.nominated ? `${p.state}, nominated` : p.state, p.rtt === null ? none : ms(p.rtt)],
      state: p.selected ? 'selected' : p.state,
    }));
    this.#table(byId('pairs'), rows);
    setText(byId('pair-count'), String(pairs.length));
  }

  /** @param {Sample} sample */
  #candidates({ candidates }) {
    const sorted = [...candidates].sort((a, b) => a.side.localeCompare(b.side) || b.priority - a.priority);
    const rows = sorted.slice(0, 100).map((c) => ({ cells: [c.side, name(c), address(c), c.relayProtocol ? `${c.protocol} over ${c.relayProtocol}` : c.protocol, String(c.priority)], state: c.side }));
    this.#table(byId('candidates'), rows);
    setText(byId('candidate-count'), String(candidates.length));
  }

  /** How far the set-up has come: four layers, each upon the one before. @param {Followed} call */
  #progress(call) {
    const s = call.sample;
    const { over } = call;
    const joined = ['connecting', 'connected', 'reconnecting'].includes(call.state) || (over && !!s?.fingerprints.remote);
    const faulty = call.state === 'reconnecting';
    this.#step('signaling', joined ? 'done' : over ? 'failed' : 'busy', joined ? 'answered' : call.state);
    this.#step('ice', faulty ? 'failed' : s?.selected ? 'done' : joined && !over ? 'busy' : 'idle', faulty ? 'no path' : s?.selected ? (s.selected.local?.type ?? 'selected') : joined ? 'checking' : none);
    const dtls = s?.dtls.state ?? 'new';
    this.#step('dtls', dtls === 'connected' ? 'done' : dtls === 'failed' ? 'failed' : dtls === 'connecting' ? 'busy' : 'idle', dtls === 'connected' ? (s?.dtls.version ?? 'connected') : dtls === 'new' ? none : dtls);
    const packets = s?.totals.packetsReceived ?? 0;
    setText(byId('panel-title'), over ? 'Negotiation (ended)' : 'Negotiation');
    this.#step('media', packets > 0 ? 'done' : dtls === 'connected' && !over ? 'busy' : 'idle', packets > 0 ? (over ? 'flowed' : call.heldHere || call.heldThere ? 'on hold' : 'flowing') : dtls === 'connected' ? 'waiting' : none);
  }

  /** @param {string} step @param {'idle' | 'busy' | 'done' | 'failed'} state @param {string} text */
  #step(step, state, text) {
    const element = this.#steps.get(step);
    if (!element) return;
    element.setAttribute('data-state', state);
    const words = element.querySelector('span');
    if (words) setText(words, text);
  }

  /** @param {string} name @param {string} text */
  #fact(name, text) {
    const element = this.#facts.get(name);
    if (element) setText(element, text);
  }

  /** @param {Element} body @param {{cells: string[], state: string}[]} rows */
  #table(body, rows) {
    const shown = JSON.stringify(rows);
    if (this.#tables.get(body) === shown) return;
    this.#tables.set(body, shown);
    body.replaceChildren(
      ...rows.map(({ cells, state }) => make('tr', { 'data-state': state }, ...cells.map((text, i) => make('td', i === cells.length - 1 ? { class: 'number' } : {}, text)))),
    );
  }

  /** Gives all that is known of the call to the clipboard, for a report. */
  async #copy() {
    const call = this.#call;
    if (!call) return;
    const { id, peer, state, reason, restarts, sample } = call;
    const text = JSON.stringify({ call: id, peer, state, reason, restarts, sample, events: call.journal.entries }, null, 2);
    const button = byId('copy');
    try {
      await navigator.clipboard.writeText(text);
      setText(button, 'Copied');
    } catch {
      setText(button, 'Not allowed');
    }
    setTimeout(() => setText(button, 'Copy as JSON'), 2000);
  }
}

/** @param {Candidate} c */
const name = (c) => typeNames[/** @type {keyof typeof typeNames} */ (c.type)] ?? c.type;

/** @param {Candidate} c */
const address = (c) => (c.address.includes(':') ? `[${c.address}]:${c.port ?? '?'}` : `${c.address}:${c.port ?? '?'}`);
