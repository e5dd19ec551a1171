// What happened in a call, in order: the panel's event log, and a part of the
// telemetry.

/** @typedef {'signaling' | 'ice' | 'dtls' | 'media'} Layer */

/**
 * @typedef {object} Entry
 * @property {number} at ms since the journal's begin
 * @property {Layer} layer
 * @property {string} text
 * @property {boolean} bad
 */

/** Older entries make room. */
const most = 500;

export class Journal {
  /** @type {Entry[]} */
  entries = [];
  #began = performance.now();
  #added;

  /** @param {(entry: Entry) => void} added */
  constructor(added) {
    this.#added = added;
  }

  /** @param {Layer} layer @param {string} text */
  note(layer, text) {
    this.#add({ at: performance.now() - this.#began, layer, text, bad: false });
  }

  /** For what went wrong. @param {Layer} layer @param {string} text @param {unknown} [error] */
  fault(layer, text, error) {
    const why = error instanceof Error ? `: ${error.message}` : '';
    this.#add({ at: performance.now() - this.#began, layer, text: text + why, bad: true });
  }

  /** @param {Entry} entry */
  #add(entry) {
    this.entries.push(entry);
    if (this.entries.length > most) this.entries.shift();
    this.#added(entry);
  }
}
