// What the controller tells: a WebSocket that is kept up, and resumed after the
// last notification that was taken (package signaling, websocket.go).

const firstWait = 250; // ms
const lastWait = 5000;

// Status codes of the controller's own.
const tokenEnded = 4401;
const replaced = 4409;

/** @typedef {'connecting' | 'connected' | 'replaced' | 'closed'} Presence */

/**
 * @typedef {object} Notification
 * @property {number} seq
 * @property {'invite' | 'ringing' | 'answer' | 'candidates' | 'update' | 'ended' | 'gap'
 *   | 'meeting-lobby' | 'meeting-admitted' | 'meeting-rejected' | 'meeting-removed' | 'meeting-roster' | 'meeting-layout'
 *   | 'meeting-ended' | 'meeting-options' | 'meeting-media-ended' | 'group-invite'
 *   | 'chat-message' | 'chat-edited' | 'chat-deleted'} type
 * @property {string} [call]
 * @property {string} [from]
 * @property {RTCSessionDescriptionInit} [description]
 * @property {RTCIceCandidateInit[]} [candidates]
 * @property {string} [reason]
 * @property {string} [rule]
 * @property {string} [meeting] or the group call
 * @property {string} [role]
 * @property {string} [region]
 * @property {string} [mailbox] what seq counts in
 * @property {import('./meeting.js').Person[]} [participants]
 * @property {import('./meeting.js').Slot[]} [slots]
 * @property {import('./room.js').Message} [message]
 */

/** A user's notifications, one after the other. */
export class Notifications {
  #api;
  #take;
  #changed;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Promise<void>} */
  #taking = Promise.resolve();
  #received = 0; // number of the last notification that came
  #taken = 0; // and of the last that was taken
  // In which mailbox; the controller begins another when it has started again.
  #receivedIn = '';
  #takenIn = '';
  #wait = firstWait;
  #closed = false;

  /**
   * @param {import('./api.js').Api} api
   * @param {(n: Notification) => Promise<void>} take is called for one at a time;
   *   what it has taken is acknowledged
   * @param {(p: Presence) => void} changed
   */
  constructor(api, take, changed) {
    this.#api = api;
    this.#take = take;
    this.#changed = changed;
    this.#connect();
  }

  close() {
    this.#closed = true;
    this.#socket?.close(1000);
    this.#changed('closed');
  }

  #connect() {
    if (this.#closed) return;
    this.#changed('connecting');
    const url = new URL('/v1/notifications', location.href);
    url.protocol = 'wss:';
    url.searchParams.set('after', String(this.#taken));
    if (this.#takenIn) url.searchParams.set('mailbox', this.#takenIn);
    // The token goes as a subprotocol: a page cannot set the Authorization header.
    const socket = new WebSocket(url, ['callpath.v1', `bearer.${this.#api.token}`]);
    this.#socket = socket;
    this.#received = this.#taken;
    this.#receivedIn = this.#takenIn;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#wait = firstWait;
      this.#changed('connected');
    };
    socket.onmessage = (event) => {
      /** @type {Notification} */
      const n = JSON.parse(event.data);
      const mailbox = n.mailbox ?? '';
      if (mailbox === this.#receivedIn && n.seq <= this.#received) return;
      this.#received = n.seq;
      this.#receivedIn = mailbox;
      this.#taking = this.#taking.then(async () => {
        if (mailbox === this.#takenIn && n.seq <= this.#taken) return;
        try {
          await this.#take(n);
        } catch (error) {
          console.error('callpath: notification', n.type, error);
        }
        this.#taken = n.seq;
        this.#takenIn = mailbox;
        if (mailbox !== this.#receivedIn) return; // of one that is no more
        if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ ack: n.seq }));
      });
    };
    socket.onclose = (event) => void this.#again(event.code, opened);
  }

  /**
   * @param {number} code
   * @param {boolean} opened
   */
  async #again(code, opened) {
    if (this.#closed) return;
    if (code === replaced) {
      this.#closed = true;
      this.#changed('replaced');
      return;
    }
    this.#changed('connecting');
    try {
      // A handshake that was refused does not say why.
      if (code === tokenEnded || (!opened && !(await this.#api.authorized()))) await this.#api.renew();
      else await new Promise((resume) => setTimeout(resume, this.#wait / 2 + (Math.random() * this.#wait) / 2));
    } catch {
      // The next attempt will meet it again.
    }
    this.#wait = Math.min(2 * this.#wait, lastWait);
    this.#connect();
  }
}
