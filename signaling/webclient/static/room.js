// A meeting on the page: pictures, who is there and who waits, and the chat.

import { Problem } from './api.js';
import { byId, make, setText } from './dom.js';

/** @typedef {import('./meeting.js').Meeting} Meeting */
/** @typedef {import('./meeting.js').Person} Person */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {string} from
 * @property {string} [text]
 * @property {string} sent
 * @property {string} [edited]
 * @property {string} [deleted]
 * @property {boolean} [masked]
 * @property {string[]} [notices]
 */

const stateWords = {
  preparing: 'joining', waiting: 'in the lobby', connecting: 'connecting', connected: 'connected', reconnecting: 'looking for a path', ended: 'ended',
};

export class Room {
  #api;
  /** @type {Meeting | null} */
  #meeting = null;
  /** @type {Map<string, HTMLElement>} */
  #tiles = new Map();
  /** @type {Map<string, HTMLAudioElement>} */
  #voices = new Map();
  /** @type {Map<string, HTMLElement>} */
  #messages = new Map();
  #shown = ''; // of roster and lobby, which are made anew only when they change
  #withheld = '';

  /** @param {() => import('./api.js').Api | null} api */
  constructor(api) {
    this.#api = api;
    byId('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    byId('chat-override').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send({ override: true, justification: value('chat-justification') });
    });
    byId('admit-all').addEventListener('click', () => void this.#moderate((api, id) => api.admitAll(id)));
  }

  /** Shows a meeting from now on. @param {Meeting} meeting */
  follow(meeting) {
    this.#meeting = meeting;
    for (const element of [...this.#tiles.values(), ...this.#voices.values(), ...this.#messages.values()]) element.remove();
    this.#tiles.clear();
    this.#voices.clear();
    this.#messages.clear();
    this.#shown = '';
    this.#refused('');
    meeting.addEventListener('change', () => this.#meeting === meeting && this.render());
    meeting.addEventListener('sample', () => this.#meeting === meeting && this.render());
    meeting.addEventListener('chat', (event) => {
      if (this.#meeting !== meeting) return;
      const n = /** @type {CustomEvent<import('./notifications.js').Notification | null>} */ (event).detail;
      if (n?.message) this.#say(n.message);
      else void this.#history();
    });
    this.render();
  }

  render() {
    const m = this.#meeting;
    if (!m) return;
    const inside = !m.over && m.state !== 'waiting' && m.state !== 'preparing';
    byId('waiting').hidden = m.state !== 'waiting';
    for (const id of ['tiles', 'people-card', 'invite']) byId(id).hidden = !inside;
    byId('chat').hidden = !inside || m.kind === 'groups';
    setText(byId('room-title'), m.peer);
    setText(byId('room-state'), stateWords[m.state]);
    setText(byId('room-region'), m.region ? `region ${m.region}` : '');
    const link = byId('room-link');
    setText(link, m.link);
    if (m.link) link.setAttribute('href', m.link);
    for (const [id, pressed] of /** @type {const} */ ([['m-mute', m.muted], ['m-camera', m.cameraOff], ['m-share', !!m.screen]])) byId(id).setAttribute('aria-pressed', String(pressed));
    byId('m-mute').toggleAttribute('disabled', !m.media?.stream.getAudioTracks().length || (inside && !m.may('microphone')));
    byId('m-camera').toggleAttribute('disabled', !m.media?.stream.getVideoTracks().length || (inside && !m.may('camera')));
    byId('m-share').toggleAttribute('disabled', !m.since || !m.may('present'));
    byId('m-restart').toggleAttribute('disabled', !m.since);
    byId('m-end').hidden = !['organizer', 'co-organizer'].includes(m.role) || m.kind === 'groups' || !inside;
    this.#showPeople(m);
    this.#showTiles(m);
    this.#hear(m);
  }

  /** @param {Meeting} m */
  #showPeople(m) {
    const people = [...m.people.values()].sort(byName);
    const waiting = m.moderates ? [...m.lobby.values()].sort(byName) : [];
    const shown = JSON.stringify([people, waiting, m.role]);
    if (shown !== this.#shown) {
      this.#shown = shown;
      setText(byId('people-count'), String(people.length));
      byId('roster').replaceChildren(...people.map((p) => this.#line(p, m, p.participant !== m.self && m.moderates ? [['Remove', (api, id) => api.removePerson(id, p.participant)]] : [])));
      byId('lobby').hidden = waiting.length === 0;
      byId('lobby-list').replaceChildren(...waiting.map((p) => this.#line(p, m, [
        ['Admit', (api, id) => api.admit(id, p.participant)],
        ['Reject', (api, id) => api.reject(id, p.participant)],
      ])));
    }
    for (const line of byId('roster').children) {
      if (line instanceof HTMLElement) line.dataset.speaking = String(m.speaking.has(line.dataset.person ?? ''));
    }
  }

  /**
   * @param {Person} p
   * @param {Meeting} m
   * @param {[string, (api: import('./api.js').Api, id: string) => Promise<unknown>][]} acts
   */
  #line(p, m, acts) {
    const facts = [p.role, p.kind === 'organizers' ? '' : p.kind, p.connection === 'reconnecting' ? 'reconnecting' : '', p.awaits_start ? 'until the meeting starts' : ''].filter(Boolean).join(', ');
    const line = make('li', { 'data-person': p.participant, 'data-place': p.place }, make('span', { class: 'who' }, make('b', {}, label(p) + (p.participant === m.self ? ' (you)' : '')), make('span', { class: 'hint' }, facts)));
    for (const [word, act] of acts) {
      const button = make('button', { type: 'button', class: word === 'Admit' ? 'primary small' : 'small', 'aria-label': `${word} ${label(p)}` }, word);
      button.addEventListener('click', () => void this.#moderate(act));
      line.append(button);
    }
    return line;
  }

  /** @param {(api: import('./api.js').Api, id: string) => Promise<unknown>} act */
  async #moderate(act) {
    const api = this.#api();
    const m = this.#meeting;
    if (!api || !m) return;
    try {
      await act(api, m.id);
    } catch (error) {
      m.journal.fault('signaling', 'refused', error);
    }
  }

  /** One picture for each person, and one for each shared screen. @param {Meeting} m */
  #showTiles(m) {
    /** @type {{key: string, name: string, stream: MediaStream | null, slides: boolean, self: boolean}[]} */
    const wanted = [];
    if (!m.over) {
      for (const slot of m.slots) {
        if (slot.kind === 'slides' && slot.participant) {
          const p = m.people.get(slot.participant);
          wanted.push({ key: `${slot.participant}/slides`, name: `${p ? label(p) : slot.participant}: screen`, stream: m.stream(slot.mid), slides: true, self: false });
        }
      }
      for (const p of [...m.people.values()].sort(byName)) {
        const self = p.participant === m.self;
        const slot = m.slotOf(p.participant, 'video');
        const own = self && !m.cameraOff && m.media?.stream.getVideoTracks().length ? m.media.stream : null;
        wanted.push({ key: p.participant, name: self ? 'You' : label(p), stream: self ? own : slot ? m.stream(slot.mid) : null, slides: false, self });
      }
    }
    const keys = new Set(wanted.map((w) => w.key));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const w of wanted) {
      let tile = this.#tiles.get(w.key);
      if (!tile) {
        const video = make('video', { autoplay: '', playsinline: '', 'aria-label': `Picture of ${w.name}` });
        if (video instanceof HTMLVideoElement) video.muted = true; // voices come by themselves
        tile = make('figure', { class: 'tile', 'data-tile': w.key }, video, make('span', { class: 'avatar', 'aria-hidden': 'true' }, w.name.slice(0, 1).toUpperCase()), make('figcaption', {}, w.name));
        tile.dataset.slides = String(w.slides);
        tile.dataset.self = String(w.self);
        this.#tiles.set(w.key, tile);
        byId('tiles').append(tile);
      }
      const video = tile.querySelector('video');
      if (video && video.srcObject !== w.stream) video.srcObject = w.stream;
      tile.dataset.dark = String(!w.stream);
      tile.dataset.speaking = String(m.speaking.has(w.key));
    }
  }

  /** Lets all voices be heard. @param {Meeting} m */
  #hear(m) {
    const mids = new Set(m.slots.filter((s) => s.kind === 'audio').map((s) => s.mid));
    for (const [mid, voice] of this.#voices) {
      if (mids.has(mid) && voice.srcObject === m.stream(mid)) continue;
      voice.remove();
      this.#voices.delete(mid);
    }
    for (const mid of mids) {
      const stream = m.stream(mid);
      if (!stream || this.#voices.has(mid)) continue;
      const voice = new Audio();
      voice.autoplay = true;
      voice.srcObject = stream;
      this.#voices.set(mid, voice);
      byId('voices').append(voice);
    }
  }

  // Chat.

  async #history() {
    const api = this.#api();
    const m = this.#meeting;
    if (!api || !m || m.kind === 'groups') return;
    try {
      const { messages } = await api.messages(m.id);
      for (const message of messages) this.#say(message);
      byId('chat-form').hidden = false;
    } catch (error) {
      byId('chat-form').hidden = true;
      this.#refused(error instanceof Problem ? error.message : 'The chat cannot be read.');
    }
  }

  /** @param {Message} message */
  #say(message) {
    const m = this.#meeting;
    const log = byId('chat-log');
    const p = m?.people.get(message.from);
    const mine = message.from === m?.self;
    const text = message.deleted ? 'deleted' : (message.text ?? '');
    const item = make('li', { 'data-message': message.id }, make('b', {}, mine ? 'You' : p ? label(p) : message.from),
      make('time', { datetime: message.sent }, new Date(message.sent).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })), make('span', {}, text));
    item.dataset.deleted = String(!!message.deleted);
    if (message.edited && !message.deleted) item.append(make('span', { class: 'hint' }, 'edited'));
    if (message.masked) item.append(make('span', { class: 'hint' }, 'parts were masked by a rule of the organisation'));
    for (const notice of message.notices ?? []) item.append(make('span', { class: 'hint' }, notice));
    if (mine && !message.deleted) {
      const button = make('button', { type: 'button', class: 'plain', 'aria-label': `Delete message: ${text}` }, 'Delete');
      button.addEventListener('click', () => void this.#delete(message));
      item.append(button);
    }
    const before = this.#messages.get(message.id);
    if (before) before.replaceWith(item);
    else log.append(item);
    this.#messages.set(message.id, item);
    log.scrollTop = log.scrollHeight;
  }

  /** @param {{override?: boolean, justification?: string}} [with_] */
  async #send(with_ = {}) {
    const api = this.#api();
    const m = this.#meeting;
    const text = with_.override ? this.#withheld : value('chat-text').trim();
    if (!api || !m || !text) return;
    try {
      this.#say(await api.say(m.id, { text, ...with_ }));
      this.#refused('');
      const input = byId('chat-text');
      if (input instanceof HTMLInputElement) {
        if (input.value.trim() === text) input.value = '';
        input.focus();
      }
    } catch (error) {
      if (!(error instanceof Problem)) return this.#refused('The server cannot be reached.');
      this.#refused([error.message, ...error.notices].join(' '), error.code === 'message-withheld' ? error.override : '', text);
    }
  }

  /** @param {Message} message */
  async #delete(message) {
    const api = this.#api();
    const m = this.#meeting;
    if (!api || !m) return;
    try {
      await api.unsay(m.id, message.id);
      this.#say({ ...message, text: '', deleted: new Date().toISOString() });
    } catch (error) {
      this.#refused(error instanceof Error ? error.message : 'not deleted');
    }
  }

  /** Shows why a message was not sent, and how it can be. @param {string} why @param {string} [override] @param {string} [text] */
  #refused(why, override = '', text = '') {
    setText(byId('chat-error'), why);
    this.#withheld = text;
    byId('chat-override').hidden = override === '' || override === 'none';
    byId('chat-justification-row').hidden = override !== 'justify';
  }
}

/** @param {Person} p */
const label = (p) => p.name || p.participant;

/** @param {Person} a @param {Person} b */
const byName = (a, b) => label(a).localeCompare(label(b));

/** @param {string} id */
function value(id) {
  const input = byId(id);
  return input instanceof HTMLInputElement ? input.value : '';
}
