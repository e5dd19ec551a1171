// What the page reads in session descriptions (RFC 8866). It changes none.

/**
 * The certificate fingerprints of a description (RFC 8122), of the session and of
 * all its media.
 * @param {{sdp: string} | null} description
 * @returns {{algorithm: string, value: string}[]} each once
 */
export function fingerprints(description) {
  const found = new Map();
  for (const [, algorithm, value] of (description?.sdp ?? '').matchAll(/^a=fingerprint:(\S+) +([0-9A-Fa-f:]+)\s*$/gm)) {
    const print = { algorithm: algorithm.toLowerCase(), value: value.toUpperCase() };
    found.set(print.algorithm + print.value, print);
  }
  return [...found.values()];
}

/**
 * Whether the side that made a description has put the call on hold: no media in use
 * receives (RFC 3264, section 8.4).
 * @param {RTCSessionDescription | null} description
 */
export function held(description) {
  if (!description) return false;
  const [session, ...media] = description.sdp.split(/^(?=m=)/m);
  const direction = (/** @type {string} */ part) => /^a=(sendrecv|sendonly|recvonly|inactive)\s*$/m.exec(part)?.[1];
  const used = media.filter((part) => !/^m=application/.test(part) && (!/^m=\S+ 0 /.test(part) || /^a=bundle-only/m.test(part)));
  const receives = used.some((part) => /recv/.test(direction(part) ?? direction(session) ?? 'sendrecv'));
  return used.length > 0 && !receives;
}

/**
 * The user name fragment of a description's ICE (RFC 8839, section 5.4): it changes
 * with each restart.
 * @param {RTCSessionDescription | null} description
 */
export function ufrag(description) {
  return /^a=ice-ufrag:(\S+)/m.exec(description?.sdp ?? '')?.[1] ?? '';
}

/**
 * A description in which one m-line is marked as a shared screen (RFC 4796), which no
 * browser does by itself.
 * @param {string} sdp
 * @param {string | null} mid of the m-line; null is none
 */
export function marked(sdp, mid) {
  if (mid === null) return sdp;
  return sdp.split(/^(?=m=)/m)
    .map((part) => (new RegExp(`^a=mid:${mid.replace(/[^\w-]/g, '')}\\s*$`, 'm').test(part) ? `${part}a=content:slides\r\n` : part))
    .join('');
}
