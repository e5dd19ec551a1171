// The path of one call or meeting: what ICE does is noted, and when the path is silent
// or lost another one is looked for.

/** How long a path may be silent before another one is looked for, in ms. */
const patience = 4000;
/** How often a new path is looked for before only the user can ask for it. */
const mostRestarts = 5;

/**
 * @typedef {object} Owner
 * @property {() => boolean} over
 * @property {() => void} up
 * @property {() => void} down
 * @property {() => void} changed
 * @property {() => void} restart looks for another path (RFC 8445, section 2.4)
 * @property {number} wait how long it leaves that to the other side, in ms
 */

export class Path {
  #journal;
  #owner;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {number | undefined} */
  #impatient;
  #automatic = 0; // restarts since the path was last up

  /**
   * @param {import('./journal.js').Journal} journal
   * @param {Owner} owner
   */
  constructor(journal, owner) {
    this.#journal = journal;
    this.#owner = owner;
  }

  /** Watches a connection, instead of the one before. @param {RTCPeerConnection} pc */
  watch(pc) {
    this.#pc = pc;
    const journal = this.#journal;
    const owner = this.#owner;
    pc.addEventListener('iceconnectionstatechange', () => journal.note('ice', `connection ${pc.iceConnectionState}`));
    pc.addEventListener('icecandidate', ({ candidate: c }) => {
      if (c?.candidate) journal.note('ice', `own candidate ${c.type} ${c.address ?? ''}:${c.port ?? ''} ${c.protocol ?? ''}`);
    });
    pc.addEventListener('icecandidateerror', (event) => {
      const { url, errorCode, errorText } = /** @type {RTCPeerConnectionIceErrorEvent} */ (event);
      journal.fault('ice', `${url}: ${errorCode} ${errorText}`);
    });
    pc.addEventListener('connectionstatechange', () => {
      if (this.#pc !== pc) return;
      clearTimeout(this.#impatient);
      switch (pc.connectionState) {
        case 'connected':
          this.#automatic = 0;
          journal.note('media', 'the path is up');
          owner.up();
          break;
        case 'disconnected':
          journal.fault('ice', 'the path is silent');
          owner.down();
          this.#impatient = setTimeout(() => this.#recover(), patience);
          break;
        case 'failed':
          journal.fault('ice', 'no path works');
          owner.down();
          this.#recover();
      }
      owner.changed();
    });
  }

  /** Looks for no other path any more, until there is another connection. */
  stop() {
    clearTimeout(this.#impatient);
    this.#pc = null;
  }

  get #up() {
    return this.#pc?.connectionState === 'connected';
  }

  #recover() {
    if (this.#owner.over() || this.#automatic >= mostRestarts || this.#up) return;
    this.#automatic++;
    clearTimeout(this.#impatient);
    this.#impatient = setTimeout(() => {
      if (this.#up) return;
      this.#owner.restart();
      this.#impatient = setTimeout(() => this.#recover(), 3 * patience);
    }, this.#owner.wait);
  }
}
