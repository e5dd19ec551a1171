// The controller's REST API (package signaling, rest.go). Requests that change
// something carry an ID, so that one whose answer was lost can be sent again and
// acts once (OASIS Repeatable Requests 1.0).

const attemptTimeout = 10_000; // ms, of one attempt
const retryFor = 30_000; // ms; no attempt begins later

/** A refusal of the controller's (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: string, title?: string, call?: string, state?: string, retry_after_ms?: number, override?: string, notices?: string[]}} body
   */
  constructor(status, body) {
    super(body.detail || body.title || `The server answered ${status}.`);
    this.name = 'Problem';
    this.status = status;
    this.code = body.code || '';
    this.call = body.call || '';
    this.state = body.state || '';
    this.retryAfter = body.retry_after_ms || 0;
    this.override = body.override || '';
    this.notices = body.notices || [];
  }
}

/**
 * Sends one request until there is an answer.
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, token?: string, keepalive?: boolean}} [options] keepalive
 *   lets the request outlive the page; it is then sent once.
 * @returns {Promise<any>}
 */
export async function ask(method, path, { body, token, keepalive = false } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method === 'POST' && token) {
    headers['Repeatability-Request-ID'] = crypto.randomUUID();
    headers['Repeatability-First-Sent'] = new Date().toUTCString();
  }
  const began = Date.now();
  for (let wait = 100; ; wait = Math.min(2 * wait, 2000)) {
    try {
      return await attempt(method, path, {
        headers,
        keepalive,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: keepalive ? undefined : AbortSignal.timeout(attemptTimeout),
      });
    } catch (error) {
      // With the organisation's keys revoked, to ask again is of no use until an administrator restores one.
      const refused = error instanceof Problem && (error.status < 500 || error.code === 'keys-revoked');
      if (refused || keepalive || Date.now() - began > retryFor) throw error;
      await new Promise((resume) => setTimeout(resume, wait / 2 + (Math.random() * wait) / 2));
    }
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {RequestInit} init
 */
async function attempt(method, path, init) {
  const response = await fetch(path, { ...init, method, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // Something between the page and the controller has answered.
  }
  throw new Problem(response.status, problem);
}

/** The API as one signed-in user has it. */
export class Api {
  #session;
  #renew;

  /**
   * @param {import('./signin.js').Session} session
   * @param {() => Promise<void>} renew puts a new token into the session
   */
  constructor(session, renew) {
    this.#session = session;
    this.#renew = renew;
  }

  /** The token of now, for the WebSocket. */
  get token() {
    return this.#session.token;
  }

  /** Gets a new token in place of one that was refused. */
  renew() {
    return this.#renew();
  }

  /** Credentials for the next call, whose ID comes with them. */
  reserve() {
    return this.#ask('POST', '/v1/ice-servers');
  }

  /** Credentials for a call that there is. @param {string} call */
  iceServers(call) {
    return this.#ask('GET', `/v1/ice-servers?call=${encodeURIComponent(call)}`);
  }

  /** @param {string} call @param {string} callee @param {RTCSessionDescriptionInit} description */
  invite(call, callee, description) {
    return this.#ask('POST', '/v1/calls', { body: { call, callee, description } });
  }

  /** @param {string} call */
  call(call) {
    return this.#ask('GET', `/v1/calls/${encodeURIComponent(call)}`);
  }

  /**
   * A request on a call: answer, reject, candidates, description, hangup, telemetry.
   * @param {string} call
   * @param {string} action
   * @param {unknown} body
   * @param {boolean} [keepalive]
   */
  act(call, action, body, keepalive = false) {
    return this.#ask('POST', `/v1/calls/${encodeURIComponent(call)}/${action}`, { body, keepalive });
  }

  // Meetings and group calls; a kind is "meetings" or "groups".

  /** @param {{subject: string}} meeting */
  schedule(meeting) {
    return this.#ask('POST', '/v1/meetings', { body: meeting });
  }

  /** @param {string} kind @param {string} id */
  conference(kind, id) {
    return this.#ask('GET', path(kind, id));
  }

  /** @param {string} kind @param {string} id */
  join(kind, id) {
    return this.#ask('POST', path(kind, id, 'join'), { body: {} });
  }

  /** @param {string} kind @param {string} id @param {boolean} [keepalive] */
  leave(kind, id, keepalive = false) {
    return this.#ask('POST', path(kind, id, 'leave'), { body: {}, keepalive });
  }

  /** @param {string} id */
  end(id) {
    return this.#ask('POST', path('meetings', id, 'end'), { body: {} });
  }

  /** @param {string} kind @param {string} id */
  participants(kind, id) {
    return this.#ask('GET', path(kind, id, 'participants'));
  }

  /** @param {string} id @param {string} person */
  admit(id, person) {
    return this.#ask('POST', path('meetings', id, 'lobby', person, 'admit'), { body: {} });
  }

  /** @param {string} id @param {string} person */
  reject(id, person) {
    return this.#ask('POST', path('meetings', id, 'lobby', person, 'reject'), { body: {} });
  }

  /** @param {string} id */
  admitAll(id) {
    return this.#ask('POST', path('meetings', id, 'lobby', 'admit-all'), { body: {} });
  }

  /** @param {string} id @param {string} person */
  removePerson(id, person) {
    return this.#ask('POST', path('meetings', id, 'participants', person, 'remove'), { body: {} });
  }

  /** Takes an offer to the media processor. @param {string} kind @param {string} id @param {string} offer */
  media(kind, id, offer) {
    return this.#ask('POST', path(kind, id, 'media'), { body: { offer } });
  }

  /** @param {string} kind @param {string} id */
  layout(kind, id) {
    return this.#ask('GET', path(kind, id, 'layout'));
  }

  /** Credentials for the relay in front of the media processor. @param {string} kind @param {string} id */
  conferenceServers(kind, id) {
    return this.#ask('POST', '/v1/ice-servers', { body: kind === 'groups' ? { group: id } : { meeting: id } });
  }

  /** The newest messages. @param {string} id */
  messages(id) {
    return this.#ask('GET', path('meetings', id, 'messages'));
  }

  /** @param {string} id @param {{text: string, override?: boolean, justification?: string}} message */
  say(id, message) {
    return this.#ask('POST', path('meetings', id, 'messages'), { body: message });
  }

  /** @param {string} id @param {string} message */
  unsay(id, message) {
    return this.#ask('DELETE', path('meetings', id, 'messages', message));
  }

  /** Whether the token is still good. */
  async authorized() {
    try {
      await ask('GET', '/v1/calls/none', { token: this.token });
    } catch (error) {
      return !(error instanceof Problem && error.status === 401);
    }
    return true;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: unknown, keepalive?: boolean}} [options]
   */
  async #ask(method, path, options = {}) {
    try {
      return await ask(method, path, { ...options, token: this.token });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401 || options.keepalive) throw error;
      await this.#renew();
      return ask(method, path, { ...options, token: this.token });
    }
  }
}

/** @param {string[]} parts */
const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join('/')}`;
