// Who is signed in, and with which token. This is the only module that knows how a
// token is got: from the controller's own sign-in, by user and secret.

import { ask } from './api.js';

/**
 * What the page knows of its user. The token is kept here, in memory, and nowhere
 * else: a reload signs out.
 * @typedef {object} Session
 * @property {string} user
 * @property {string} name
 * @property {string} region
 * @property {string} token
 */

/**
 * Signs in. It throws a Problem when the controller refuses.
 * @param {string} user
 * @param {string} secret
 * @returns {Promise<Session>}
 */
export async function signIn(user, secret) {
  const out = await ask('POST', '/v1/sign-in', { body: { user, secret } });
  return { user: out.user, name: out.name || out.user, region: out.region || '', token: out.token };
}
