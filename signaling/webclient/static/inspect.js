// What a connection has negotiated and how well it does, read from getStats (W3C
// "Identifiers for WebRTC's Statistics API"). Browsers leave different things out;
// what one does not tell is null here, and the panel says so.

import { fingerprints } from './sdp.js';

/**
 * @typedef {object} Candidate
 * @property {string} id
 * @property {'local' | 'remote'} side
 * @property {string} type host, srflx, prflx or relay
 * @property {string} address
 * @property {number | null} port
 * @property {string} protocol of the media: udp or tcp
 * @property {string | null} relayProtocol of a local relay candidate: udp, tcp or tls
 * @property {string | null} url the server that gave it
 * @property {number} priority
 *
 * @typedef {object} Pair
 * @property {string} id
 * @property {Candidate | undefined} local
 * @property {Candidate | undefined} remote
 * @property {string} state frozen, waiting, in-progress, succeeded or failed
 * @property {boolean} nominated
 * @property {boolean} selected
 * @property {number | null} rtt in s
 *
 * @typedef {object} Fingerprint
 * @property {string} promised as the session description has it
 * @property {string | null} seen of the certificate itself, by the same hash
 * @property {boolean | null} matched null when the browser tells nothing of the certificate
 *
 * @typedef {object} Sample
 * @property {number} at ms, as performance.now
 * @property {Candidate[]} candidates
 * @property {Pair[]} pairs
 * @property {Pair | null} selected
 * @property {{state: string, version: string | null, cipher: string | null, srtp: string | null, role: string | null}} dtls
 * @property {string | null} iceRole controlling or controlled
 * @property {{local: Fingerprint | null, remote: Fingerprint | null}} fingerprints
 * @property {number | null} rtt s
 * @property {{in: number | null, out: number | null}} loss as a fraction, since the last sample
 * @property {{in: number | null, out: number | null}} bitrate bit/s, since the last sample
 * @property {{audio: number | null, video: number | null}} jitter s, of what comes in
 * @property {{packetsReceived: number, packetsLost: number, bytesReceived: number, bytesSent: number, framesDecoded: number, framesEncoded: number}} totals
 * @property {{audio: Stream | null, videoIn: Stream | null, videoOut: Stream | null}} streams
 *
 * @typedef {object} Stream
 * @property {string} codec
 * @property {number | null} width
 * @property {number | null} height
 * @property {number | null} frames a second
 */

/** The name of a version as it stands on the wire (RFC 6347, RFC 9147). */
const versions = { FEFF: 'DTLS 1.0', FEFD: 'DTLS 1.2', FEFC: 'DTLS 1.3' };

/** Hashes of RFC 8122 by their names in the Web Crypto API. */
const hashes = { 'sha-256': 'SHA-256', 'sha-384': 'SHA-384', 'sha-512': 'SHA-512' };

/** Reads one connection, again and again; rates are since the time before. */
export class Inspector {
  #pc;
  /** @type {{at: number, sent: number, received: number, packets: number, lost: number} | null} */
  #before = null;

  /** @param {RTCPeerConnection} pc */
  constructor(pc) {
    this.#pc = pc;
  }

  /** @returns {Promise<Sample>} */
  async sample() {
    const report = await this.#pc.getStats();
    /** @type {Record<string, any[]>} */
    const by = {};
    report.forEach((entry) => (by[entry.type] ??= []).push(entry));
    const transport = by.transport?.[0];
    const candidates = new Map([...(by['local-candidate'] ?? []), ...(by['remote-candidate'] ?? [])].map((c) => [c.id, candidate(c)]));
    const pairs = (by['candidate-pair'] ?? []).map((p) => pair(p, candidates, isSelected(p, transport)));
    const inbound = by['inbound-rtp'] ?? [];
    const outbound = by['outbound-rtp'] ?? [];
    const told = by['remote-inbound-rtp'] ?? []; // what the other side says of ours
    const selected = pairs.find((p) => p.selected) ?? null;
    return {
      at: performance.now(),
      candidates: [...candidates.values()],
      pairs,
      selected,
      dtls: this.#dtls(transport),
      iceRole: transport?.iceRole && transport.iceRole !== 'unknown' ? transport.iceRole : null,
      fingerprints: {
        local: await compare(this.#pc.localDescription, report.get(transport?.localCertificateId)),
        // Chromium's statistics sometimes never get the peer's certificate: when
        // they are first asked for in mid-handshake. Its transport has it.
        remote: await compare(this.#pc.remoteDescription, report.get(transport?.remoteCertificateId), this.#peerCertificate()),
      },
      rtt: selected?.rtt ?? told.map((t) => t.roundTripTime).find((t) => t > 0) ?? null,
      jitter: { audio: jitterOf(inbound, 'audio'), video: jitterOf(inbound, 'video') },
      streams: {
        audio: stream(inbound, 'audio', report) ?? stream(outbound, 'audio', report),
        videoIn: stream(inbound, 'video', report),
        videoOut: stream(outbound, 'video', report),
      },
      ...this.#rates(inbound, outbound, told),
    };
  }

  /** The peer's certificate in DER, where the browser shows it. @returns {ArrayBuffer | undefined} */
  #peerCertificate() {
    const transport = this.#pc.getSenders()[0]?.transport;
    return transport?.getRemoteCertificates?.()[0];
  }

  /** @param {any} transport */
  #dtls(transport) {
    // Not every browser has the transport's state among its statistics.
    const state = transport?.dtlsState ?? this.#pc.getSenders()[0]?.transport?.state ?? 'new';
    const version = transport?.tlsVersion?.toUpperCase();
    return {
      state,
      version: version ? (versions[/** @type {keyof typeof versions} */ (version)] ?? version) : null,
      cipher: transport?.dtlsCipher ?? null,
      srtp: transport?.srtpCipher ?? null,
      role: transport?.dtlsRole && transport.dtlsRole !== 'unknown' ? transport.dtlsRole : null,
    };
  }

  /** @param {any[]} inbound @param {any[]} outbound @param {any[]} told */
  #rates(inbound, outbound, told) {
    const now = {
      at: performance.now(),
      sent: sum(outbound, 'bytesSent') + sum(outbound, 'headerBytesSent'),
      received: sum(inbound, 'bytesReceived') + sum(inbound, 'headerBytesReceived'),
      packets: sum(inbound, 'packetsReceived'),
      lost: sum(inbound, 'packetsLost'),
    };
    const before = this.#before;
    this.#before = now;
    const bitrate = { in: null, out: null };
    const loss = { in: null, out: told.length > 0 ? Math.max(...told.map((t) => t.fractionLost ?? 0)) : null };
    if (before && now.at > before.at) {
      const bits = (/** @type {number} */ bytes) => Math.max(0, (bytes * 8000) / (now.at - before.at));
      Object.assign(bitrate, { in: bits(now.received - before.received), out: bits(now.sent - before.sent) });
      const lost = Math.max(0, now.lost - before.lost);
      const packets = Math.max(0, now.packets - before.packets);
      Object.assign(loss, { in: packets + lost > 0 ? lost / (packets + lost) : null });
    }
    return {
      bitrate,
      loss,
      totals: {
        packetsReceived: now.packets,
        packetsLost: now.lost,
        bytesReceived: now.received,
        bytesSent: now.sent,
        framesDecoded: sum(inbound, 'framesDecoded'),
        framesEncoded: sum(outbound, 'framesEncoded'),
      },
    };
  }
}

/** @param {any[]} entries @param {string} field */
const sum = (entries, field) => entries.reduce((total, entry) => total + (entry[field] ?? 0), 0);

/** @param {any} c @returns {Candidate} */
function candidate(c) {
  return {
    id: c.id,
    side: c.type === 'local-candidate' ? 'local' : 'remote',
    type: c.candidateType,
    address: c.address || '(hidden)',
    port: c.port ?? null,
    protocol: c.protocol,
    relayProtocol: c.relayProtocol ?? null,
    url: c.url || null,
    priority: c.priority ?? 0,
  };
}

/** @param {any} p @param {Map<string, Candidate>} candidates @param {boolean} selected @returns {Pair} */
function pair(p, candidates, selected) {
  return {
    id: p.id,
    local: candidates.get(p.localCandidateId),
    remote: candidates.get(p.remoteCandidateId),
    state: p.state,
    nominated: !!p.nominated,
    selected,
    rtt: p.currentRoundTripTime ?? null,
  };
}

/** Firefox marks the pair itself, the others the transport. @param {any} p @param {any} transport */
function isSelected(p, transport) {
  return transport?.selectedCandidatePairId ? p.id === transport.selectedCandidatePairId : p.selected === true;
}

/** @param {any[]} inbound @param {string} kind */
function jitterOf(inbound, kind) {
  return inbound.find((s) => s.kind === kind && s.packetsReceived > 0)?.jitter ?? null;
}

/** @param {any[]} entries @param {string} kind @param {RTCStatsReport} report @returns {Stream | null} */
function stream(entries, kind, report) {
  const s = entries.find((entry) => entry.kind === kind && entry.codecId);
  if (!s) return null;
  return {
    codec: report.get(s.codecId)?.mimeType?.replace(/^\w+\//, '') ?? '?',
    width: s.frameWidth ?? null,
    height: s.frameHeight ?? null,
    frames: s.framesPerSecond ?? null,
  };
}

/**
 * Compares what a description promises with the certificate: by its bytes where the
 * browser shows them, otherwise by the fingerprint that the browser computed.
 * @param {RTCSessionDescription | null} description
 * @param {any} certificate its statistics
 * @param {ArrayBuffer} [bytes] the certificate itself
 * @returns {Promise<Fingerprint | null>}
 */
async function compare(description, certificate, bytes) {
  const promised = fingerprints(description);
  if (promised.length === 0) return null;
  const der = bytes ?? decode(certificate?.base64Certificate);
  /** @type {Fingerprint[]} */
  const compared = [];
  for (const { algorithm, value } of promised) {
    const seen = (await digest(der, algorithm)) ?? computed(certificate, algorithm);
    compared.push({ promised: `${algorithm} ${value}`, seen: seen && `${algorithm} ${seen}`, matched: seen === null ? null : seen === value });
  }
  return compared.find((c) => c.matched) ?? compared.find((c) => c.seen) ?? compared[0];
}

/** @param {string | undefined} base64 */
const decode = (base64) => base64 && Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** @param {BufferSource | '' | undefined} der @param {string} algorithm @returns {Promise<string | null>} */
async function digest(der, algorithm) {
  const hash = hashes[/** @type {keyof typeof hashes} */ (algorithm)];
  if (!der || !hash) return null;
  const sum = new Uint8Array(await crypto.subtle.digest(hash, der));
  return Array.from(sum, (b) => b.toString(16).padStart(2, '0').toUpperCase()).join(':');
}

/** The browser's own fingerprint. @param {any} certificate @param {string} algorithm @returns {string | null} */
function computed(certificate, algorithm) {
  return certificate?.fingerprintAlgorithm?.toLowerCase() === algorithm ? certificate.fingerprint.toUpperCase() : null;
}
