// Camera and microphone. A call needs neither: who has none sees and hears.

/**
 * @typedef {object} Media
 * @property {MediaStream} stream with what there is, possibly nothing
 * @property {string} missing in words what there is not; empty when all is there
 */

/** What to ask for, the best first. */
const wishes = [
  { audio: true, video: { width: { ideal: 1280 }, height: { ideal: 720 } } },
  { audio: true, video: false },
  { audio: false, video: { width: { ideal: 1280 }, height: { ideal: 720 } } },
];

/** Why a device cannot be used, in words, by the name of the error. */
const reasons = {
  NotAllowedError: 'not allowed',
  NotFoundError: 'not found',
  NotReadableError: 'in use by another program',
  OverconstrainedError: 'not suitable',
};

/** @returns {Promise<Media>} */
export async function openDevices() {
  if (!navigator.mediaDevices) {
    return { stream: new MediaStream(), missing: 'Camera and microphone need a page served over HTTPS.' };
  }
  let why = '';
  for (const wish of wishes) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        ...wish,
        audio: wish.audio && { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      return { stream, missing: missing(stream, why) };
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      why = reasons[/** @type {keyof typeof reasons} */ (name)] ?? 'not available';
    }
  }
  return { stream: new MediaStream(), missing: missing(new MediaStream(), why) };
}

/** Gives the devices back. @param {MediaStream} stream */
export function closeDevices(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/**
 * @param {MediaStream} stream
 * @param {string} why
 */
function missing(stream, why) {
  const lacks = [];
  if (stream.getAudioTracks().length === 0) lacks.push('microphone');
  if (stream.getVideoTracks().length === 0) lacks.push('camera');
  if (lacks.length === 0) return '';
  return `No ${lacks.join(' and no ')} (${why}). You will still see and hear the other side.`;
}
