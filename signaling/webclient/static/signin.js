// How the page gets its tokens: OpenID Connect with an authorization code and PKCE
// (RFC 7636) at the issuer of this server or at another one that the server trusts,
// then the exchange of what that gives for an access token to the communication
// services (RFC 8693). The page never sees a password.

const pendingKey = 'callpath.sign-in';
const attemptTimeout = 10_000; // ms

const grantExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const typeOf = (/** @type {'access_token' | 'jwt'} */ name) => `urn:ietf:params:oauth:token-type:${name}`;

/**
 * What the server says of sign-ins (settings.json).
 * @typedef {object} Settings
 * @property {string} issuer of this server
 * @property {string} path below which its endpoints are
 * @property {string} client the page's ID there
 * @property {boolean} external_only nobody signs in at this server itself
 * @property {{name: string, issuer: string, client: string}[]} external
 *
 * An issuer with which a user can sign in.
 * @typedef {object} Provider
 * @property {string} name for display; empty for this server's own
 * @property {string} issuer
 * @property {string} client
 *
 * What the page knows of its user. Tokens are kept here, in memory, and nowhere
 * else: a reload signs out.
 * @typedef {object} Session
 * @property {string} user
 * @property {string} name
 * @property {string} token for the communication services
 * @property {string} refresh for the issuer; empty when it gave none
 * @property {Provider} provider
 */

/** A sign-in that was refused or has ended, in words for the user. */
export class SignInError extends Error {
  /** @param {string} message @param {boolean} [final] whether trying again is of no use */
  constructor(message, final = true) {
    super(message);
    this.name = 'SignInError';
    this.final = final;
  }
}

/** Signs in, refreshes, signs out. */
export class SignIn {
  #settings;
  /** @type {Promise<void> | null} */
  #renewing = null;

  /** @param {Settings} settings */
  constructor(settings) {
    this.#settings = settings;
  }

  static async load() {
    return new SignIn(await json(await fetch('settings.json', { cache: 'no-cache', signal: AbortSignal.timeout(attemptTimeout) })));
  }

  /** @returns {Provider[]} this server's own first, when there is one */
  get providers() {
    const { issuer, client, external, external_only: externalOnly } = this.#settings;
    return externalOnly ? external : [{ name: '', issuer, client }, ...external];
  }

  /** Leaves the page for an issuer's. @param {Provider} provider */
  async begin(provider) {
    const { authorize } = await this.#endpoints(provider);
    const pending = { issuer: provider.issuer, state: secret(), nonce: secret(), verifier: secret() };
    sessionStorage.setItem(pendingKey, JSON.stringify(pending));
    const url = new URL(authorize);
    for (const [name, value] of Object.entries({
      client_id: provider.client, redirect_uri: here(), response_type: 'code', scope: 'openid profile offline_access',
      state: pending.state, nonce: pending.nonce, code_challenge: await challenge(pending.verifier), code_challenge_method: 'S256',
    })) url.searchParams.set(name, value);
    location.assign(url);
  }

  /**
   * Takes what an issuer's page has led back with; null when nothing has.
   * @returns {Promise<Session | null>}
   */
  async finish() {
    const answer = new URLSearchParams(location.search);
    if (!answer.has('code') && !answer.has('error')) return null;
    history.replaceState(null, '', location.pathname); // a code is good for once
    const pending = JSON.parse(sessionStorage.getItem(pendingKey) ?? 'null');
    sessionStorage.removeItem(pendingKey);
    if (!pending || pending.state !== answer.get('state')) throw new SignInError('This page has got the answer to a sign-in that it did not begin. Sign in again.');
    const provider = this.providers.find((p) => p.issuer === pending.issuer);
    // Another issuer's answer would send its code to this one (RFC 9207).
    const named = answer.get('iss') ?? (provider?.name ? pending.issuer : '');
    if (!provider || named !== pending.issuer) throw new SignInError('The answer to the sign-in is of another issuer than was asked. Sign in again.');
    const error = answer.get('error');
    if (error) throw new SignInError(refusal(error, answer.get('error_description') ?? ''));
    const { token } = await this.#endpoints(provider);
    const tokens = await post(token, {
      grant_type: 'authorization_code', client_id: provider.client, code: answer.get('code') ?? '',
      redirect_uri: here(), code_verifier: pending.verifier,
    });
    check(claims(tokens.id_token), provider, pending.nonce);
    return this.#exchange(provider, tokens);
  }

  /**
   * Puts a new access token into the session. A refresh token is good for once, so
   * that all who want a new token wait for the same.
   * @param {Session} session
   */
  renew(session) {
    this.#renewing ??= this.#renew(session).finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  /** @param {Session} session */
  async #renew(session) {
    if (!session.refresh) throw new SignInError('Your sign-in has ended.');
    const { token } = await this.#endpoints(session.provider);
    const tokens = await post(token, { grant_type: 'refresh_token', client_id: session.provider.client, refresh_token: session.refresh });
    session.refresh = tokens.refresh_token ?? session.refresh;
    Object.assign(session, await this.#exchange(session.provider, { ...tokens, refresh_token: session.refresh }));
  }

  /** Ends the session's tokens. @param {Session} session */
  async end(session) {
    const mine = session.provider.name === '' && session.refresh;
    await post(this.#own('/oauth2/revoke'), { client_id: this.#settings.client, token: mine || session.token }, true).catch(() => {});
  }

  /** @param {Provider} provider @param {any} tokens @returns {Promise<Session>} */
  async #exchange(provider, tokens) {
    const own = provider.name === '';
    const out = await post(this.#own('/oauth2/token'), {
      grant_type: grantExchange, client_id: this.#settings.client,
      subject_token: own ? tokens.access_token : tokens.id_token, subject_token_type: typeOf(own ? 'access_token' : 'jwt'),
    });
    if (!`${out.scope ?? ''}`.split(' ').includes('voip')) throw new SignInError('You have signed in, but you may not call: your access token lacks the scope voip.');
    const { sub, name } = claims(out.access_token);
    return { user: sub, name: name || sub, token: out.access_token, refresh: tokens.refresh_token ?? '', provider };
  }

  /** An endpoint of this server: at the page's own origin, whatever name that was reached by. @param {string} path */
  #own(path) {
    return new URL(this.#settings.path + path, location.origin).href;
  }

  /** @param {Provider} provider */
  async #endpoints(provider) {
    if (provider.name === '') return { authorize: this.#own('/oauth2/authorize'), token: this.#own('/oauth2/token') };
    const found = await json(await fetch(`${provider.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
      credentials: 'omit', redirect: 'error', signal: AbortSignal.timeout(attemptTimeout),
    }));
    const { issuer, authorization_endpoint: authorize, token_endpoint: token } = found;
    if (issuer !== provider.issuer || ![authorize, token].every((url) => /^https:\/\//.test(url))) {
      throw new SignInError(`What ${provider.name} says of itself is not of ${provider.issuer}.`);
    }
    return { authorize, token };
  }
}

/** The page, as the issuer knows it. */
const here = () => location.origin + location.pathname;

/** Text that cannot be guessed: 256 bits, which makes a verifier, too. */
function secret() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {string} verifier */
async function challenge(verifier) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))));
}

/** @param {Uint8Array} bytes */
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

/**
 * The claims of a token that came from its issuer over TLS, which stands for the
 * check of its signature (OpenID Connect Core, section 3.1.3.7).
 * @param {string} token
 */
export function claims(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new SignInError('The issuer has given something that is no token.');
  }
}

/**
 * Checks that an ID token is the answer to this sign-in.
 * @param {any} c its claims
 * @param {Provider} provider
 * @param {string} nonce
 */
export function check(c, provider, nonce) {
  const audience = [c.aud].flat();
  if (c.iss !== provider.issuer || !audience.includes(provider.client) || c.nonce !== nonce) {
    throw new SignInError('The issuer has given a token that is not for this sign-in. Sign in again.');
  }
}

/** @param {string} error @param {string} description @returns {string} */
export function refusal(error, description) {
  const text = description.trim().replace(/\.$/, '');
  if (error === 'access_denied') return `The sign-in was refused${text ? `: ${text}` : ''}.`;
  if (text) return `${text[0].toUpperCase()}${text.slice(1)}.`;
  return `The issuer has answered ${error}.`;
}

/**
 * Sends a form and reads the answer.
 * @param {string} url
 * @param {Record<string, string>} form
 * @param {boolean} [keepalive] lets the request outlive the page
 */
async function post(url, form, keepalive = false) {
  return json(await fetch(url, {
    method: 'POST', body: new URLSearchParams(form), keepalive, cache: 'no-store', credentials: 'omit', redirect: 'error',
    signal: keepalive ? undefined : AbortSignal.timeout(attemptTimeout),
  }));
}

/** @param {Response} response @returns {Promise<any>} */
async function json(response) {
  const text = await response.text();
  let body = {};
  try {
    body = text ? JSON.parse(text) : {};
  } catch {
    // Something between the page and the issuer has answered.
  }
  if (response.ok) return body;
  const { error = `status ${response.status}`, error_description: description = '' } = /** @type {any} */ (body);
  throw new SignInError(refusal(error, description), response.status >= 400 && response.status < 500 && response.status !== 429);
}
