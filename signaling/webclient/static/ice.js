// ICE servers as the user wants them, and candidates on their way to the other side.

/** @typedef {'any' | 'udp' | 'tcp' | 'tls'} Transport how the relay is reached */

/**
 * How a relay is reached by a URI (RFC 7065): "turns" is TLS, and "turn" is what its
 * query says, UDP when it says nothing.
 * @param {string} url
 * @returns {Transport | 'stun' | 'dtls'}
 */
export function transportOf(url) {
  const [scheme] = url.split(':', 1);
  const over = /[?&]transport=(\w+)/.exec(url)?.[1] ?? '';
  if (scheme === 'turns') return over === 'udp' ? 'dtls' : 'tls';
  if (scheme === 'turn') return over === 'tcp' ? 'tcp' : 'udp';
  return 'stun';
}

/**
 * The configuration of a connection: servers of the wanted transport only.
 * @param {{urls: string[], username?: string, credential?: string}[]} servers as the
 *   controller gives them
 * @param {{forceRelay: boolean, transport: Transport}} wanted
 * @returns {RTCConfiguration}
 */
export function configuration(servers, { forceRelay, transport }) {
  const iceServers = [];
  for (const { urls, username, credential } of servers) {
    const usable = urls.filter((url) => {
      const via = transportOf(url);
      if (via === 'dtls') return false; // no browser has it
      if (via === 'stun') return !forceRelay && (transport === 'any' || transport === 'udp');
      return transport === 'any' || via === transport;
    });
    if (usable.length > 0) iceServers.push(username ? { urls: usable, username, credential } : { urls: usable });
  }
  return { iceServers, iceTransportPolicy: forceRelay ? 'relay' : 'all', bundlePolicy: 'max-bundle' };
}

/** How long candidates are gathered before they are sent together, in ms. */
const gatherFor = 30;

/**
 * Sends a side's own candidates (RFC 8838), in order and several at a time. While it
 * is held they wait: candidates must not come before the description they belong to.
 */
export class Trickle {
  #send;
  #failed;
  /** @type {RTCIceCandidateInit[]} */
  #waiting = [];
  #held = true;
  #sending = false;
  #scheduled = false;

  /**
   * @param {(candidates: RTCIceCandidateInit[]) => Promise<unknown>} send
   * @param {(error: unknown) => void} failed
   */
  constructor(send, failed) {
    this.#send = send;
    this.#failed = failed;
  }

  /** @param {RTCIceCandidate | null} candidate null is the end of candidates */
  add(candidate) {
    // Only what the controller takes: browsers have more fields than these.
    this.#waiting.push(
      candidate
        ? {
            candidate: candidate.candidate,
            sdpMid: candidate.sdpMid,
            sdpMLineIndex: candidate.sdpMLineIndex,
            usernameFragment: candidate.usernameFragment,
          }
        : { candidate: '' },
    );
    this.#schedule();
  }

  hold() {
    this.#held = true;
  }

  release() {
    this.#held = false;
    this.#schedule();
  }

  /** Forgets what waits: it belongs to a description that nobody takes. */
  drop() {
    this.#waiting = [];
  }

  #schedule() {
    if (this.#held || this.#sending || this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      void this.#flush();
    }, gatherFor);
  }

  async #flush() {
    if (this.#held || this.#sending || this.#waiting.length === 0) return;
    this.#sending = true;
    const batch = this.#waiting.splice(0, 64);
    try {
      await this.#send(batch);
    } catch (error) {
      this.#failed(error);
    }
    this.#sending = false;
    this.#schedule();
  }
}
