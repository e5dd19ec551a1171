// One meeting or group call, from the request to join it to its end: the controller's
// view of it (package signaling), one RTCPeerConnection to the media processor, and
// what the user can do.
//
// One offer has all that is sent and, as receiving m-lines, as many slots as others can
// be heard and seen at once. The processor puts people on slots and takes them off;
// who is where is told by notifications (the layout), so that nothing is negotiated
// anew when people come and go.

import { closeDevices } from './devices.js';
import { configuration } from './ice.js';
import { Inspector } from './inspect.js';
import { Path } from './path.js';
import { fingerprints, marked } from './sdp.js';

/** @typedef {'preparing' | 'waiting' | 'connecting' | 'connected' | 'reconnecting' | 'ended'} State */
/** @typedef {'held' | 'admitted' | 'up' | 'down' | 'end'} Event_ */

/**
 * State × event → state. What is not here changes nothing.
 * @type {Record<State, Partial<Record<Event_, State>>>}
 */
const moves = {
  preparing: { held: 'waiting', admitted: 'connecting', end: 'ended' },
  waiting: { admitted: 'connecting', end: 'ended' },
  connecting: { up: 'connected', down: 'reconnecting', end: 'ended' },
  connected: { down: 'reconnecting', end: 'ended' },
  reconnecting: { up: 'connected', end: 'ended' },
  ended: {},
};

/** How many others are heard and seen at once. */
const slotsOf = { audio: 8, video: 8 };

/** What all browsers have (RFC 7742, RFC 7874), so that nobody's stream is another's riddle; without the rest the offer stays small. */
const codecs = { audio: ['audio/opus', 'audio/PCMU'], video: ['video/VP8', 'video/rtx'] };

/** Two layers, of which each receiver gets what its bandwidth carries. */
const layers = [
  { rid: 'l', scaleResolutionDownBy: 2, maxBitrate: 150_000 },
  { rid: 'h', maxBitrate: 800_000 },
];

const sampleEvery = 1000; // ms
const listenEvery = 400; // ms
/** Of the audio level (W3C webrtc-stats, RTCInboundRtpStreamStats): from here on somebody speaks. */
const spoken = 0.005;

/**
 * @typedef {object} Person
 * @property {string} participant
 * @property {string} [name]
 * @property {string} [kind]
 * @property {string} [client]
 * @property {string} [role]
 * @property {string[]} [rights]
 * @property {'present' | 'lobby' | 'outside'} place
 * @property {string} [connection]
 * @property {boolean} [awaits_start]
 * @property {string} [reason]
 *
 * @typedef {object} Slot
 * @property {string} mid
 * @property {'audio' | 'video' | 'slides'} kind
 * @property {string} [participant]
 */

/** Dispatches "change", "sample" with each Sample, and "chat" with a Notification in detail. */
export class Meeting extends EventTarget {
  /** @type {State} */
  state = 'preparing';
  subject = '';
  link = '';
  region = '';
  role = '';
  reason = '';
  endedBy = '';
  muted = false;
  cameraOff = false;
  heldHere = false; // nobody holds a meeting
  heldThere = false;
  restarts = 0;
  since = 0;
  /** @type {import('./inspect.js').Sample | null} */
  sample = null;
  /** @type {import('./devices.js').Media | null} */
  media = null;
  /** @type {MediaStream | null} */
  screen = null;
  /** @type {Map<string, Person>} */
  people = new Map();
  /** @type {Map<string, Person>} */
  lobby = new Map();
  /** @type {Slot[]} */
  slots = [];
  /** @type {Set<string>} */
  speaking = new Set();

  #api;
  #self;
  #wanted;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Map<string, MediaStream>} */
  #streams = new Map(); // by mid
  /** @type {RTCRtpTransceiver | null} */
  #slides = null;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {ReturnType<typeof setInterval>[]} */
  #timers = [];
  #path;

  /**
   * @param {import('./api.js').Api} api
   * @param {string} self the user's ID
   * @param {{kind: 'meetings' | 'groups', id: string}} target
   * @param {import('./call.js').Wanted} wanted
   * @param {import('./journal.js').Journal} journal
   */
  constructor(api, self, target, wanted, journal) {
    super();
    this.#api = api;
    this.#self = self;
    this.#wanted = wanted;
    this.kind = target.kind;
    this.id = target.id;
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
      wait: 0,
    });
  }

  get over() {
    return this.state === 'ended';
  }

  /** As the panel and the title name it. */
  get peer() {
    return this.subject || (this.kind === 'groups' ? 'Group call' : 'Meeting');
  }

  get self() {
    return this.#self;
  }

  /** Whether the user may admit people. Who it is really up to, the controller decides. */
  get moderates() {
    return ['organizer', 'co-organizer', 'presenter'].includes(this.role) && this.kind === 'meetings';
  }

  /** @param {string} right */
  may(right) {
    return this.people.get(this.#self)?.rights?.includes(right) ?? false;
  }

  /** Asks to get in. @param {import('./devices.js').Media} media */
  async join(media) {
    this.media = media;
    const admission = await this.#api.join(this.kind, this.id);
    this.journal.note('signaling', `join: ${admission.place}${admission.rule ? ` by ${admission.rule} = ${admission.value}` : ''}`);
    if (this.over) {
      await this.#api.leave(this.kind, this.id);
      return;
    }
    if (admission.place === 'present') await this.#enter(admission);
    else this.#move('held');
  }

  /** Takes what the controller tells of this meeting. @param {import('./notifications.js').Notification} n */
  async take(n) {
    if (this.over) return;
    switch (n.type) {
      case 'meeting-admitted':
        this.journal.note('signaling', `admitted${n.from ? ` by ${n.from}` : ''}`);
        await this.#enter(n);
        break;
      case 'meeting-rejected':
      case 'meeting-removed':
        this.#finish(n.reason || n.type.replace('meeting-', ''), n.from);
        break;
      case 'meeting-ended':
        this.#finish('the meeting has ended', n.from);
        break;
      case 'meeting-roster':
      case 'meeting-lobby':
        for (const p of n.participants ?? []) this.#place(p);
        break;
      case 'meeting-layout':
        this.slots = n.slots ?? [];
        break;
      case 'meeting-media-ended':
        this.journal.fault('media', `media ended: ${n.reason || n.rule}`);
        await this.#rebuild();
        break;
      case 'meeting-options':
        this.journal.note('signaling', 'options have changed');
        break;
      case 'chat-message':
      case 'chat-edited':
      case 'chat-deleted':
        this.dispatchEvent(new CustomEvent('chat', { detail: n }));
        return;
    }
    this.#changed();
  }

  /** After notifications were lost: where the user is, and who else. */
  async resynchronize() {
    const view = await this.#api.conference(this.kind, this.id);
    if (view.place === 'outside' || view.phase === 'ended') this.#finish('notifications were lost');
    else if (view.place === 'present' && this.state === 'waiting') await this.#enter(view);
    else if (view.place === 'present') {
      await this.#roster();
      this.slots = (await this.#api.layout(this.kind, this.id)).slots;
      this.dispatchEvent(new CustomEvent('chat', { detail: null }));
    }
    this.#changed();
  }

  /** The picture or sound of a slot. @param {string} mid */
  stream(mid) {
    return this.#streams.get(mid) ?? null;
  }

  /** The slot on which somebody is shown. @param {string} participant @param {'video' | 'slides'} kind */
  slotOf(participant, kind) {
    return this.slots.find((s) => s.participant === participant && s.kind === kind) ?? null;
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

  /** Begins or ends to share the screen. @param {boolean} on */
  async share(on) {
    if (!on) {
      await this.#stopSharing();
      return;
    }
    const screen = await navigator.mediaDevices.getDisplayMedia({ video: true });
    const pc = this.#pc;
    const [track] = screen.getVideoTracks();
    if (!pc || this.over) {
      closeDevices(screen);
      return;
    }
    this.screen = screen;
    track.addEventListener('ended', () => void this.#stopSharing());
    if (this.#slides) {
      await this.#slides.sender.replaceTrack(track);
      this.#slides.direction = 'sendonly';
    } else {
      this.#slides = pc.addTransceiver(track, { direction: 'sendonly', streams: [screen] });
      prefer(this.#slides, 'video');
    }
    this.#changed();
    await this.#offer('screen share');
  }

  async #stopSharing() {
    if (!this.screen) return;
    closeDevices(this.screen);
    this.screen = null;
    this.#changed();
    if (!this.#slides || this.over) return;
    await this.#slides.sender.replaceTrack(null);
    this.#slides.direction = 'inactive';
    await this.#offer('end of screen share');
  }

  /** Looks for another path (RFC 8445, section 2.4). */
  newPath() {
    if (!this.#pc) return;
    this.restarts++;
    this.#pc.restartIce();
    void this.#offer('ICE restart', true);
    this.#changed();
  }

  /** Leaves, or ends the meeting for all. @param {boolean} [all] */
  async leave(all = false) {
    const known = !this.over;
    this.#finish(all ? 'you have ended it' : 'you have left');
    if (known) await (all ? this.#api.end(this.id) : this.#api.leave(this.kind, this.id));
  }

  /** When the page goes. */
  abandon() {
    if (!this.over) void this.#api.leave(this.kind, this.id, true).catch(() => {});
  }

  /** Ends a meeting that could not be joined. @param {unknown} error */
  fail(error) {
    this.journal.fault('signaling', 'not joined', error);
    const known = this.state !== 'preparing' && !this.over;
    this.#finish(error instanceof Error ? error.message : 'it failed');
    if (known) void this.#api.leave(this.kind, this.id).catch(() => {});
  }

  /** @param {{role?: string, region?: string}} admission */
  async #enter(admission) {
    this.role = admission.role ?? this.role;
    this.region = admission.region ?? '';
    this.#move('admitted');
    const view = await this.#api.conference(this.kind, this.id);
    this.subject = view.subject ?? '';
    this.link = view.join_url ?? `${location.origin}/?group=${encodeURIComponent(this.id)}`;
    await this.#roster();
    this.dispatchEvent(new CustomEvent('chat', { detail: null }));
    await this.#connect();
  }

  async #roster() {
    const { participants } = await this.#api.participants(this.kind, this.id);
    this.people.clear();
    this.lobby.clear();
    for (const p of participants) this.#place(p);
  }

  /** @param {Person} p */
  #place(p) {
    if (p.place === 'present') this.people.set(p.participant, p);
    else this.people.delete(p.participant);
    if (p.place === 'lobby') this.lobby.set(p.participant, p);
    else this.lobby.delete(p.participant);
    if (p.participant === this.#self && p.role) this.role = p.role;
  }

  async #connect() {
    const { ice_servers: servers } = await this.#api.conferenceServers(this.kind, this.id);
    if (this.over) return;
    const pc = new RTCPeerConnection(configuration(servers, this.#wanted));
    this.#pc = pc;
    const tracks = this.media?.stream.getTracks() ?? [];
    for (const [kind, right] of /** @type {const} */ ([['audio', 'microphone'], ['video', 'camera']])) {
      const track = this.may(right) ? tracks.find((t) => t.kind === kind) : undefined;
      for (let i = 0; i < slotsOf[kind]; i++) {
        const sends = i === 0 && track;
        prefer(pc.addTransceiver(sends || kind, {
          direction: sends ? 'sendrecv' : 'recvonly',
          ...(sends && this.media && { streams: [this.media.stream] }),
          ...(sends && kind === 'video' && { sendEncodings: layers }),
        }), kind);
      }
    }
    this.#watch(pc);
    const inspector = new Inspector(pc);
    this.#timers.push(setInterval(() => void this.#measure(inspector), sampleEvery), setInterval(() => void this.#listen(), listenEvery));
    await this.#offer('media');
  }

  /** Begins anew with what the user may still send. */
  async #rebuild() {
    this.#close();
    this.#move('down');
    await this.#roster();
    await this.#connect();
  }

  #close() {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#path.stop();
    this.#pc?.close();
    this.#pc = null;
    this.#slides = null;
    this.#streams.clear();
    this.slots = [];
    if (this.screen) closeDevices(this.screen);
    this.screen = null;
  }

  /** Sends an offer and takes the answer, one after the other. @param {string} why @param {boolean} [fresh] with new credentials for the relay */
  #offer(why, fresh = false) {
    this.#last = this.#last.then(async () => {
      const pc = this.#pc;
      if (!pc || this.over) return;
      try {
        if (fresh) {
          const { ice_servers: servers } = await this.#api.conferenceServers(this.kind, this.id);
          pc.setConfiguration(configuration(servers, this.#wanted));
        }
        await pc.setLocalDescription();
        this.journal.note('signaling', `offer sent: ${why}`);
        const { answer } = await this.#api.media(this.kind, this.id, marked(pc.localDescription?.sdp ?? '', this.#slides?.mid ?? null));
        if (another(pc.remoteDescription, answer)) {
          // It was started anew, or a second one has taken over: it knows nothing of this connection.
          this.journal.note('signaling', 'another media processor answered: a new connection begins');
          void this.#rebuild().catch((error) => this.journal.fault('signaling', 'no new connection', error));
          return;
        }
        await pc.setRemoteDescription({ type: 'answer', sdp: answer });
        this.journal.note('signaling', 'the media processor answered');
      } catch (error) {
        if (this.over || this.#pc !== pc) return;
        this.journal.fault('signaling', `no media (${why})`, error);
        if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({ type: 'rollback' });
      }
    });
    return this.#last;
  }

  /** @param {RTCPeerConnection} pc */
  #watch(pc) {
    pc.addEventListener('track', ({ transceiver, track }) => {
      if (transceiver.mid !== null) this.#streams.set(transceiver.mid, new MediaStream([track]));
      this.#changed();
    });
    this.#path.watch(pc);
  }

  #enable() {
    for (const track of this.media?.stream.getAudioTracks() ?? []) track.enabled = !this.muted;
    for (const track of this.media?.stream.getVideoTracks() ?? []) track.enabled = !this.cameraOff;
    this.#changed();
  }

  /** Finds out who is heard to speak: from the sound itself, not from what its sender says of it. */
  async #listen() {
    const pc = this.#pc;
    if (!pc) return;
    const now = new Set();
    /** @type {Map<string, number>} */
    const levels = new Map();
    (await pc.getStats()).forEach((s) => s.type === 'inbound-rtp' && s.kind === 'audio' && levels.set(s.trackIdentifier, s.audioLevel ?? 0));
    if (this.#pc !== pc) return;
    for (const { mid, receiver } of pc.getTransceivers()) {
      const slot = this.slots.find((s) => s.mid === mid && s.kind === 'audio');
      if (slot?.participant && (levels.get(receiver.track.id) ?? 0) > spoken) now.add(slot.participant);
    }
    const same = now.size === this.speaking.size && [...now].every((p) => this.speaking.has(p));
    this.speaking = now;
    if (!same) this.#changed();
  }

  /** @param {Inspector} inspector */
  async #measure(inspector) {
    const sample = await inspector.sample();
    if (this.over) return;
    if (sample.dtls.state === 'connected' && this.sample?.dtls.state !== 'connected') {
      this.journal.note('dtls', [sample.dtls.version, sample.dtls.cipher, sample.dtls.srtp].filter(Boolean).join(', ') || 'connected');
    }
    this.sample = sample;
    this.dispatchEvent(new Event('sample'));
  }

  /** @param {string} reason @param {string} [by] */
  #finish(reason, by = '') {
    if (this.over) return;
    this.reason = reason;
    this.endedBy = by;
    this.journal.note('signaling', `over: ${reason}${by ? ` by ${by}` : ''}`);
    this.#close();
    if (this.media) closeDevices(this.media.stream);
    this.#move('end');
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

/**
 * Whether an answer is of another processor than the one before: each has a certificate
 * of its own (RFC 8842).
 * @param {RTCSessionDescription | null} before
 * @param {string} answer
 */
function another(before, answer) {
  if (!before) return false;
  const known = fingerprints(before).map((print) => print.value);
  return fingerprints({ sdp: answer }).every((print) => !known.includes(print.value));
}

/** @param {RTCRtpTransceiver} transceiver @param {'audio' | 'video'} kind */
function prefer(transceiver, kind) {
  const known = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  const wanted = known.filter((c) => codecs[kind].some((name) => name.toLowerCase() === c.mimeType.toLowerCase()));
  if (wanted.length > 0) transceiver.setCodecPreferences(wanted);
}

/**
 * What somebody has typed or pasted to join: a link, the ID of a group call, which is a
 * UUID, or that of a meeting.
 * @param {string} text
 * @returns {{kind: 'meetings' | 'groups', id: string} | null}
 */
export function target(text) {
  const typed = text.trim();
  if (/^https:\/\//i.test(typed)) {
    const query = URL.canParse(typed) ? new URL(typed).searchParams : new URLSearchParams();
    const meeting = query.get('meeting');
    const group = query.get('group');
    return meeting ? { kind: 'meetings', id: meeting } : group ? { kind: 'groups', id: group } : null;
  }
  if (!/^[\w.-]{1,128}$/.test(typed)) return null;
  const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(typed);
  return { kind: uuid ? 'groups' : 'meetings', id: typed };
}
