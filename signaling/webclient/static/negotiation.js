// Offer and answer within a call that both sides have joined (JSEP, RFC 9429): hold,
// resume and ICE restarts by either side. One thing happens at a time, in order.
//
// The controller decides which of two crossing offers counts: it takes one and
// refuses the other as "glare", with a time to wait (as SIP's 491). Whose offer was
// refused rolls it back, answers the other side's, and tries again later.

import { Problem } from './api.js';
import { Trickle } from './ice.js';
import { ufrag } from './sdp.js';

/** How long the other side may take to answer an offer, in ms. */
const answerWithin = 15_000;

/**
 * @typedef {object} Wish why an offer is to be made
 * @property {string} reason in words
 * @property {boolean} restart ICE begins anew
 */

/** The reason of a wish that is for a restart alone. */
export const iceRestart = 'ICE restart';

export class Negotiation {
  #pc;
  #send;
  #refresh;
  #journal;
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {Wish | null} */
  #wish = null; // granted as soon as no other offer is outstanding
  #waits = false; // after glare
  /** @type {RTCIceCandidateInit[]} */
  #early = []; // candidates that came before their description
  /** @type {number | undefined} */
  #timer;
  #closed = false;

  /** Own candidates; released once the controller has the first description. */
  trickle;

  /**
   * @param {RTCPeerConnection} pc
   * @param {(action: 'description' | 'candidates', body: unknown) => Promise<unknown>} send
   * @param {() => Promise<void>} refresh gives the connection new credentials for the relay
   * @param {import('./journal.js').Journal} journal
   */
  constructor(pc, send, refresh, journal) {
    this.#pc = pc;
    this.#send = send;
    this.#refresh = refresh;
    this.#journal = journal;
    this.trickle = new Trickle(
      (candidates) => send('candidates', { candidates }),
      (error) => this.#closed || journal.fault('signaling', 'candidates not sent', error),
    );
    pc.addEventListener('icecandidate', (event) => this.trickle.add(event.candidate));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /**
   * Makes an offer as soon as one can be made. Wishes that wait are granted together.
   * @param {Wish} wish
   */
  offer(wish) {
    this.#wish = merge(this.#wish, wish);
    return this.#inOrder(() => this.#grant());
  }

  /**
   * Takes a description of the other side's: the first offer or answer, or what an
   * update brings.
   * @param {RTCSessionDescriptionInit} description
   * @param {RTCIceCandidateInit[]} [candidates]
   */
  take(description, candidates = []) {
    return this.#inOrder(async () => {
      await this.#remote(description);
      for (const candidate of candidates) await this.#addCandidate(candidate);
    });
  }

  /** Takes trickled candidates of the other side's. @param {RTCIceCandidateInit[]} candidates */
  takeCandidates(candidates) {
    return this.#inOrder(async () => {
      for (const candidate of candidates) await this.#addCandidate(candidate);
    });
  }

  /** Answers an update. @param {RTCSessionDescriptionInit} description @param {RTCIceCandidateInit[]} [candidates] */
  update(description, candidates = []) {
    return this.#inOrder(async () => {
      switch (description.type) {
        case 'offer':
          await this.#answer(description, candidates);
          break;
        case 'answer':
          if (this.#pc.signalingState !== 'have-local-offer') return; // one that was withdrawn
          clearTimeout(this.#timer);
          await this.#remote(description);
          for (const candidate of candidates) await this.#addCandidate(candidate);
          this.#journal.note('signaling', 'the other side answered the new offer');
          break;
        case 'rollback':
          await this.#rolledBack();
      }
      await this.#grant(); // what could not be offered until now
    });
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T | undefined>} */
  #inOrder(work) {
    const done = this.#last.then(() => (this.#closed ? undefined : work()));
    this.#last = done.catch(() => {});
    return done;
  }

  /** Takes our own offer back, when there is one. */
  async #rollBack() {
    if (this.#pc.signalingState === 'have-local-offer') await this.#pc.setLocalDescription({ type: 'rollback' });
  }

  /** Makes the offer that is wished for, unless another one is outstanding. */
  async #grant() {
    const wish = this.#wish;
    if (!wish || this.#waits || this.#pc.signalingState !== 'stable') return;
    this.#wish = null;
    const before = ufrag(this.#pc.remoteDescription);
    this.trickle.hold();
    try {
      if (wish.restart) {
        await this.#refresh();
        this.#pc.restartIce();
      }
      await this.#pc.setLocalDescription();
      await this.#send('description', { description: plain(this.#pc.localDescription) });
    } catch (error) {
      this.trickle.drop();
      this.trickle.release();
      await this.#rollBack();
      if (error instanceof Problem && error.code === 'glare') {
        this.#wish = merge(wish, this.#wish);
        this.#waitAfterGlare(error.retryAfter || 2000, before);
      } else {
        this.#journal.fault('signaling', `no new offer (${wish.reason})`, error);
      }
      return;
    }
    this.#journal.note('signaling', `new offer sent: ${wish.reason}`);
    this.trickle.release();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#inOrder(() => this.#withdraw()), answerWithin);
  }

  /**
   * Makes no offer for a while, so that the other side's comes first. Its restart does
   * what ours was to do.
   * @param {number} wait in ms
   * @param {string} before the other side's ufrag when our offer was made
   */
  #waitAfterGlare(wait, before) {
    this.#journal.note('signaling', `offers crossed (glare): ours is withdrawn and made again after ${wait} ms`);
    this.#waits = true;
    setTimeout(() => {
      this.#waits = false;
      if (this.#wish?.restart && ufrag(this.#pc.remoteDescription) !== before) {
        this.#wish = this.#wish.reason === iceRestart ? null : { ...this.#wish, restart: false };
      }
      void this.#inOrder(() => this.#grant());
    }, wait);
  }

  /** Answers an offer, or declines it when it cannot be used. */
  async #answer(/** @type {RTCSessionDescriptionInit} */ offer, /** @type {RTCIceCandidateInit[]} */ candidates) {
    // The controller took theirs, so ours is void, whatever we still hoped.
    await this.#rollBack();
    const restart = ufrag(this.#pc.remoteDescription) !== ufrag(/** @type {RTCSessionDescription} */ (offer));
    this.#journal.note('signaling', `the other side made a new offer${restart ? ' (ICE restart)' : ''}`);
    try {
      if (restart) await this.#refresh();
      await this.#remote(offer);
      for (const candidate of candidates) await this.#addCandidate(candidate);
      this.trickle.hold();
      await this.#pc.setLocalDescription();
      await this.#send('description', { description: plain(this.#pc.localDescription) });
    } catch (error) {
      this.#journal.fault('signaling', 'the new offer is declined', error);
      if (this.#pc.signalingState === 'have-remote-offer') {
        await this.#pc.setRemoteDescription({ type: 'rollback' });
        await this.#send('description', { description: { type: 'rollback' } });
      }
    } finally {
      this.trickle.release();
    }
  }

  /** Withdraws an offer that nobody answers. */
  async #withdraw() {
    if (this.#pc.signalingState !== 'have-local-offer') return;
    this.#journal.fault('signaling', 'the new offer was not answered and is withdrawn');
    await this.#rollBack();
    try {
      await this.#send('description', { description: { type: 'rollback' } });
    } catch (error) {
      this.#journal.fault('signaling', 'not withdrawn', error); // an answer is on its way
    }
  }

  /** The other side declined ours, or withdrew theirs. */
  async #rolledBack() {
    clearTimeout(this.#timer);
    this.#journal.note('signaling', 'the other side took the offer back');
    await this.#rollBack();
    if (this.#pc.signalingState === 'have-remote-offer') await this.#pc.setRemoteDescription({ type: 'rollback' });
  }

  /** @param {RTCSessionDescriptionInit} description */
  async #remote(description) {
    await this.#pc.setRemoteDescription(description);
    for (const candidate of this.#early.splice(0)) await this.#addCandidate(candidate);
  }

  /** A candidate that the browser refuses is no reason to end a call: there are others. */
  async #addCandidate(/** @type {RTCIceCandidateInit} */ candidate) {
    if (!this.#pc.remoteDescription) {
      this.#early.push(candidate);
      return;
    }
    try {
      await this.#pc.addIceCandidate(candidate);
    } catch (error) {
      this.#journal.fault('ice', `a candidate of the other side's cannot be used (${candidate.candidate})`, error);
    }
  }
}

/**
 * A description as the controller takes it.
 * @param {RTCSessionDescription | null} description
 */
export function plain(description) {
  if (!description) throw new Error('there is no description yet');
  return { type: description.type, sdp: description.sdp };
}

/**
 * Two wishes as one.
 * @param {Wish | null} first
 * @param {Wish | null} second
 * @returns {Wish | null}
 */
function merge(first, second) {
  if (!first || !second) return first ?? second;
  const reason = first.reason === second.reason ? first.reason : `${first.reason}, ${second.reason}`;
  return { reason, restart: first.restart || second.restart };
}
