// One call, from the invite to its telemetry: the controller's view of it, one
// RTCPeerConnection, and what the user can do with it.

import { closeDevices } from './devices.js';
import { configuration } from './ice.js';
import { Inspector } from './inspect.js';
import { iceRestart, Negotiation, plain } from './negotiation.js';
import { Path } from './path.js';
import { held } from './sdp.js';

/** @typedef {'preparing' | 'calling' | 'ringing' | 'incoming' | 'connecting' | 'connected' | 'reconnecting' | 'ended'} State */
/** @typedef {'invited' | 'ringing' | 'accepted' | 'answered' | 'up' | 'down' | 'end'} Event_ */

/**
 * State × event → state. What is not here changes nothing.
 * @type {Record<State, Partial<Record<Event_, State>>>}
 */
const moves = {
  // That the peer is alerted, or has answered, may be told before the invite's own response.
  preparing: { invited: 'calling', ringing: 'ringing', answered: 'connecting', end: 'ended' },
  calling: { ringing: 'ringing', answered: 'connecting', end: 'ended' },
  ringing: { answered: 'connecting', end: 'ended' },
  incoming: { accepted: 'connecting', end: 'ended' },
  connecting: { up: 'connected', down: 'reconnecting', end: 'ended' },
  connected: { down: 'reconnecting', end: 'ended' },
  reconnecting: { up: 'connected', end: 'ended' },
  ended: {},
};

const sampleEvery = 1000; // ms

/**
 * @typedef {object} Wanted
 * @property {boolean} forceRelay
 * @property {import('./ice.js').Transport} transport
 */

/** Dispatches "change" when anything of it has changed, and "sample" with each Sample. */
export class Call extends EventTarget {
  id = '';
  /** @type {State} */
  state = 'preparing';
  /** Why it ended, in words, and who ended it; empty for us and for the controller. */
  reason = '';
  endedBy = '';
  muted = false;
  cameraOff = false;
  heldHere = false;
  heldThere = false;
  restarts = 0;
  /** When the media first came up, as performance.now; 0 before. */
  since = 0;
  /** @type {import('./inspect.js').Sample | null} */
  sample = null;
  remoteStream = new MediaStream();
  /** @type {import('./devices.js').Media | null} */
  media = null;

  #api;
  #wanted;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Negotiation | null} */
  #negotiation = null;
  /** @type {import('./notifications.js').Notification[]} */
  #waiting = []; // until the call is accepted
  /** @type {number | undefined} */
  #sampler;
  #path;
  #rtt = { sum: 0, count: 0, worst: 0 };

  /**
   * @param {import('./api.js').Api} api
   * @param {string} peer
   * @param {'outgoing' | 'incoming'} direction
   * @param {Wanted} wanted
   * @param {import('./journal.js').Journal} journal
   */
  constructor(api, peer, direction, wanted, journal) {
    super();
    this.#api = api;
    this.#wanted = wanted;
    this.peer = peer;
    this.direction = direction;
    this.journal = journal;
    this.#path = new Path(journal, {
      over: () => this.over,
      up: () => {
        this.since ||= performance.now();
        this.#move('up');
      },
      down: () => this.#move('down'),
      changed: () => this.#changed(),
      restart: () => this.newPath(),
      wait: direction === 'outgoing' ? 0 : 3000, // the caller begins, so that offers seldom cross
    });
  }

  /** Calls the peer. @param {import('./devices.js').Media} media */
  async place(media) {
    this.media = media;
    const { call, ice_servers: servers } = await this.#api.reserve();
    if (this.over) return;
    this.id = call;
    this.#open(servers);
    const pc = this.#connection();
    for (const kind of ['audio', 'video']) {
      const track = media.stream.getTracks().find((t) => t.kind === kind);
      pc.addTransceiver(track ?? kind, { direction: track ? 'sendrecv' : 'recvonly', streams: [media.stream] });
    }
    await pc.setLocalDescription();
    await this.#api.invite(this.id, this.peer, plain(pc.localDescription));
    this.journal.note('signaling', `invite sent to ${this.peer}`);
    if (this.over) {
      await this.#api.act(this.id, 'hangup', { reason: 'cancelled' }); // meanwhile
      return;
    }
    this.#move('invited');
    this.#negotiation?.trickle.release();
  }

  /** Takes an invite, which then waits for accept or reject. @param {import('./notifications.js').Notification} invite */
  invited(invite) {
    this.id = invite.call ?? '';
    this.state = 'incoming';
    this.#waiting.push(invite);
    this.journal.note('signaling', `invite from ${this.peer}`);
    this.#changed();
  }

  /** Accepts an invite. @param {import('./devices.js').Media} media */
  async accept(media) {
    this.media = media;
    this.#move('accepted');
    const { ice_servers: servers } = await this.#api.iceServers(this.id);
    if (this.over) return;
    this.#open(servers);
    const pc = this.#connection();
    for (const n of this.#waiting.splice(0)) {
      if (n.description) await this.#negotiation?.take(n.description, n.candidates);
      else if (n.candidates) await this.#negotiation?.takeCandidates(n.candidates);
    }
    for (const track of media.stream.getTracks()) pc.addTrack(track, media.stream);
    await pc.setLocalDescription();
    await this.#api.act(this.id, 'answer', { description: plain(pc.localDescription) });
    this.journal.note('signaling', 'answer sent');
    this.#negotiation?.trickle.release();
  }

  /** Takes what the controller tells of this call. @param {import('./notifications.js').Notification} n */
  async take(n) {
    if (this.state === 'incoming' && n.type === 'candidates') {
      this.#waiting.push(n);
      return;
    }
    switch (n.type) {
      case 'ringing':
        this.journal.note('signaling', `${this.peer} is alerted`);
        this.#move('ringing');
        break;
      case 'answer':
        this.journal.note('signaling', `${this.peer} answered`);
        this.#move('answered');
        if (n.description) await this.#negotiation?.take(n.description, n.candidates);
        break;
      case 'candidates':
        await this.#negotiation?.takeCandidates(n.candidates ?? []);
        break;
      case 'update':
        if (n.description) await this.#negotiation?.update(n.description, n.candidates);
        this.#readHold();
        break;
      case 'ended':
        void this.#finish(n.reason || 'ended', n.from);
    }
    this.#changed();
  }

  /** After notifications were lost: whether the call still stands. */
  async resynchronize() {
    const view = await this.#api.call(this.id);
    if (view.state === 'ended') void this.#finish(view.reason || 'ended', view.ended_by);
    else if (this.state === 'calling' || this.state === 'ringing' || this.state === 'incoming') await this.hangUp('notifications were lost');
    else this.newPath();
  }

  /** Ends the call, and returns when the controller knows. @param {string} [reason] */
  async hangUp(reason = 'hung up') {
    const action = this.state === 'incoming' ? 'reject' : 'hangup';
    const known = this.state !== 'preparing' && !this.over;
    const why = action === 'reject' ? 'declined' : reason;
    await this.#finish(why, '', known && (() => this.#api.act(this.id, action, { reason: why })));
  }

  /** When the page goes: what must be said is said by requests that outlive it. */
  abandon() {
    if (this.over || this.state === 'preparing') return;
    void this.#api.act(this.id, 'hangup', { reason: 'the page was closed' }, true).catch(() => {});
  }

  /** Ends a call that could not be made or accepted. @param {unknown} error */
  fail(error) {
    this.journal.fault('signaling', 'the call failed', error);
    const reason = error instanceof Error ? error.message : 'it failed';
    const known = this.state !== 'preparing' && !this.over;
    void this.#finish(reason, '', known && (() => this.#api.act(this.id, 'hangup', { reason: 'the call failed' })));
  }

  /** @param {boolean} on */
  mute(on) {
    this.muted = on;
    this.#enable();
  }

  /** @param {boolean} on */
  setCamera(on) {
    this.cameraOff = !on;
    this.#enable();
  }

  /** Puts the call on hold: nothing is sent, and the other side is asked to send nothing (RFC 3264, section 8.4). @param {boolean} on */
  async hold(on) {
    this.heldHere = on;
    for (const transceiver of this.#pc?.getTransceivers() ?? []) {
      if (transceiver.currentDirection === 'stopped') continue;
      const track = this.media?.stream.getTracks().find((t) => t.kind === transceiver.receiver.track.kind) ?? null;
      await transceiver.sender.replaceTrack(on ? null : track);
      transceiver.direction = on ? 'sendonly' : track ? 'sendrecv' : 'recvonly';
    }
    this.#changed();
    await this.#negotiation?.offer({ reason: on ? 'hold' : 'resume', restart: false });
  }

  /** Looks for another path (RFC 8445, section 2.4). */
  newPath() {
    this.restarts++;
    void this.#negotiation?.offer({ reason: iceRestart, restart: true });
    this.#changed();
  }

  get over() {
    return this.state === 'ended';
  }

  #connection() {
    if (!this.#pc) throw new Error('the call has no connection');
    return this.#pc;
  }

  /** @param {any[]} servers */
  #open(servers) {
    const pc = new RTCPeerConnection(configuration(servers, this.#wanted));
    this.#pc = pc;
    this.#negotiation = new Negotiation(
      pc,
      (action, body) => this.#api.act(this.id, action, body),
      async () => {
        const { ice_servers: fresh } = await this.#api.iceServers(this.id);
        pc.setConfiguration(configuration(fresh, this.#wanted));
      },
      this.journal,
    );
    this.#watch(pc);
    const inspector = new Inspector(pc);
    this.#sampler = setInterval(() => void this.#measure(inspector), sampleEvery);
  }

  /** @param {RTCPeerConnection} pc */
  #watch(pc) {
    const { journal } = this;
    let candidates = 0;
    pc.addEventListener('icegatheringstatechange', () => {
      journal.note('ice', `gathering ${pc.iceGatheringState}`);
      if (pc.iceGatheringState === 'complete' && candidates === 0) {
        journal.fault('ice', this.#wanted.forceRelay ? `no relay gave an address over ${this.#wanted.transport}` : 'there is no network');
      }
    });
    pc.addEventListener('signalingstatechange', () => this.#readHold());
    pc.addEventListener('icecandidate', ({ candidate: c }) => {
      if (c?.candidate) candidates++;
    });
    pc.addEventListener('track', (event) => {
      this.remoteStream.addTrack(event.track);
      const transport = event.receiver.transport;
      if (event.track.kind === 'audio' && transport) {
        transport.addEventListener('statechange', () => this.over || journal.note('dtls', transport.state));
      }
      this.#changed();
    });
    this.#path.watch(pc);
  }

  #readHold() {
    const before = this.heldThere;
    if (this.#pc?.signalingState === 'stable') this.heldThere = held(this.#pc.remoteDescription);
    if (before === this.heldThere) return;
    this.journal.note('media', this.heldThere ? `${this.peer} put the call on hold` : `${this.peer} resumed the call`);
    this.#changed();
  }

  #enable() {
    for (const track of this.media?.stream.getAudioTracks() ?? []) track.enabled = !this.muted;
    for (const track of this.media?.stream.getVideoTracks() ?? []) track.enabled = !this.cameraOff;
    this.#changed();
  }

  /** @param {Inspector} inspector */
  async #measure(inspector) {
    const sample = await inspector.sample();
    if (this.over) return;
    const path = (/** @type {import('./inspect.js').Sample | null} */ s) => s?.selected && describe(s.selected);
    if (path(sample) && path(sample) !== path(this.sample)) this.journal.note('ice', `selected ${path(sample)}`);
    if (sample.dtls.state === 'connected' && this.sample?.dtls.state !== 'connected') {
      this.journal.note('dtls', [sample.dtls.version, sample.dtls.cipher, sample.dtls.srtp].filter(Boolean).join(', ') || 'connected');
    }
    if (sample.totals.packetsReceived > 0 && !this.sample?.totals.packetsReceived) this.journal.note('media', 'first packets received');
    this.sample = sample;
    if (sample.rtt !== null) {
      this.#rtt.sum += sample.rtt;
      this.#rtt.count++;
      this.#rtt.worst = Math.max(this.#rtt.worst, sample.rtt);
    }
    this.dispatchEvent(new Event('sample'));
  }

  /**
   * Ends the call here, tells the controller unless it is who told us, and sends what
   * was measured.
   * @param {string} reason
   * @param {string} [by]
   * @param {false | (() => Promise<unknown>)} [tell]
   */
  async #finish(reason, by = '', tell = false) {
    if (this.over) return;
    const known = this.#pc && this.state !== 'preparing';
    this.reason = reason;
    this.endedBy = by;
    this.journal.note('signaling', `ended: ${reason}${by ? ` by ${by}` : ''}`);
    this.#move('end');
    clearInterval(this.#sampler);
    this.#path.stop();
    this.#negotiation?.close();
    this.#pc?.close();
    if (this.media) closeDevices(this.media.stream);
    await this.#report(tell, known ? this.#telemetry() : null);
  }

  /** @param {false | (() => Promise<unknown>)} tell @param {object | null} telemetry */
  async #report(tell, telemetry) {
    try {
      if (tell) await tell();
      if (telemetry) {
        await this.#api.act(this.id, 'telemetry', { telemetry });
        this.journal.note('signaling', 'telemetry sent');
      }
    } catch (error) {
      this.journal.fault('signaling', 'not all could be told to the server', error);
    }
    this.dispatchEvent(new Event('reported'));
  }

  /** What the controller gets at the end (step 8 of a one-to-one call). */
  #telemetry() {
    const s = this.sample;
    const short = (/** @type {import('./inspect.js').Candidate | undefined} */ c) =>
      c && { type: c.type, address: c.address, port: c.port, protocol: c.protocol, relay_protocol: c.relayProtocol };
    return {
      client: 'callpath web client',
      direction: this.direction,
      reason: this.reason,
      seconds: this.since ? Math.round((performance.now() - this.since) / 1000) : 0,
      force_relay: this.#wanted.forceRelay,
      restarts: this.restarts,
      path: s?.selected && { local: short(s.selected.local), remote: short(s.selected.remote) },
      dtls: s?.dtls,
      fingerprints_matched: s && { local: s.fingerprints.local?.matched ?? null, remote: s.fingerprints.remote?.matched ?? null },
      rtt_ms: this.#rtt.count > 0 ? { mean: (1000 * this.#rtt.sum) / this.#rtt.count, worst: 1000 * this.#rtt.worst } : null,
      totals: s?.totals,
      faults: this.journal.entries.filter((e) => e.bad).map((e) => ({ at_ms: Math.round(e.at), layer: e.layer, text: e.text })),
    };
  }

  /** @param {Event_} event */
  #move(event) {
    const to = moves[this.state][event];
    if (!to) return;
    this.state = to;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

/** A pair in a line. @param {import('./inspect.js').Pair} pair */
function describe({ local, remote }) {
  const via = local?.relayProtocol ? ` over ${local.relayProtocol}` : '';
  return `${local?.type}${via} → ${remote?.type}, ${local?.protocol}`;
}
