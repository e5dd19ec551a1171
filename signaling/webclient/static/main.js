// The page: who is signed in, which call there is, and what the keys and buttons do.
// It wires the other modules; none of them knows it.

import { Api, Problem } from './api.js';
import { Call } from './call.js';
import { openDevices } from './devices.js';
import { byId, make, setText } from './dom.js';
import { Journal } from './journal.js';
import { Meeting, target } from './meeting.js';
import { Notifications } from './notifications.js';
import { Panel } from './panel.js';
import { Room } from './room.js';
import { SignIn, SignInError } from './signin.js';

const panel = new Panel();

/** @type {import('./signin.js').Session | null} */
let session = null;
/** @type {Api | null} */
let api = null;
/** @type {Notifications | null} */
let notifications = null;
/** @type {Call | null} */
let call = null;
/** @type {Meeting | null} */
let meeting = null;
/** @type {SignIn | null} */
let signIn = null;

const room = new Room(() => api);

/** A link to a meeting outlives the sign-in, which leads away from the page. */
const linkKey = 'callpath.link';
if (target(location.href)) {
  sessionStorage.setItem(linkKey, location.href);
  history.replaceState(null, '', location.pathname);
}

// Signing in and out.

async function enter() {
  try {
    signIn = await SignIn.load();
    offer(signIn);
    const fresh = await signIn.finish();
    if (fresh) start(fresh);
  } catch (error) {
    setText(byId('sign-in-error'), words(error));
  }
  showSignIn(!session);
}

// Until it is known who can sign in where, the button tries again to find out.
byId('sign-in-here').addEventListener('click', () => void (signIn ? leave(signIn, signIn.providers[0]) : enter()));

/** Offers the issuers with which one can sign in. @param {SignIn} at */
function offer(at) {
  const [first, ...others] = at.providers;
  if (first.name) setText(byId('sign-in-here'), `Sign in with ${first.name}`);
  for (const provider of others) {
    const button = make('button', { type: 'button' }, `Sign in with ${provider.name}`);
    button.addEventListener('click', () => void leave(at, provider));
    byId('providers').append(button);
  }
}

/** Goes to an issuer's page. @param {SignIn} at @param {import('./signin.js').Provider} provider */
async function leave(at, provider) {
  setText(byId('sign-in-error'), '');
  try {
    await at.begin(provider);
  } catch (error) {
    setText(byId('sign-in-error'), words(error));
  }
}

byId('sign-out').addEventListener('click', async () => {
  await Promise.race([Promise.all([call?.hangUp('signed out'), meeting?.leave()]), new Promise((resume) => setTimeout(resume, 2000))]);
  if (session) await signIn?.end(session);
  location.reload(); // nothing of a session outlives its page
});

/** @param {import('./signin.js').Session} fresh */
function start(fresh) {
  session = fresh;
  api = new Api(fresh, () => renew(fresh));
  notifications = new Notifications(api, take, present);
  byId('sign-out').hidden = false;
  const link = sessionStorage.getItem(linkKey);
  sessionStorage.removeItem(linkKey);
  const field = byId('meeting-id');
  if (link && field instanceof HTMLInputElement) field.value = link;
}

/** Gets a new token. When only the user can, it never returns: to sign in again leaves the page. @param {import('./signin.js').Session} mine */
async function renew(mine) {
  try {
    await signIn?.renew(mine);
  } catch (error) {
    if (!(error instanceof SignInError) || !error.final) throw error;
    say('Your sign-in has ended. Sign in again when your call is over: that leaves this page.');
    showSignIn(true);
    await new Promise(() => {});
  }
}

/** @param {boolean} shown */
function showSignIn(shown) {
  byId('sign-in').hidden = !shown;
  document.body.dataset.view = shown && !session ? 'sign-in' : 'call';
  if (shown) {
    if (!busy()) byId('sign-in-here').focus();
  } else {
    render();
    const field = byId('meeting-id');
    byId(field instanceof HTMLInputElement && field.value ? 'join' : 'callee').focus();
  }
}

/** @param {import('./notifications.js').Presence} presence */
function present(presence) {
  const text = { connecting: 'connecting', connected: 'available', replaced: 'signed in elsewhere', closed: 'signed out' }[presence];
  byId('presence').dataset.state = presence;
  setText(byId('presence-text'), session ? `${session.name} · ${text}` : 'Signed out');
  if (presence === 'replaced') say('You have signed in on another page, which gets your calls from now on. Reload to take them back.');
}

// Calls.

/** @param {import('./notifications.js').Notification} n */
async function take(n) {
  if (n.type === 'gap') {
    if (call && !call.over) await call.resynchronize();
    if (meeting && !meeting.over) await meeting.resynchronize();
    return;
  }
  if (n.type === 'group-invite') {
    say(`${n.from} asks you to a group call.`);
    const field = byId('meeting-id');
    if (field instanceof HTMLInputElement && n.meeting) field.value = n.meeting;
    return;
  }
  if (n.meeting) {
    if (n.meeting === meeting?.id) await meeting.take(n);
    return;
  }
  if (n.type === 'invite') {
    await incoming(n);
    return;
  }
  if (call && n.call === call.id) await call.take(n);
}

/** @param {import('./notifications.js').Notification} n */
async function incoming(n) {
  if (!api || !n.call) return;
  // After a reload an invite may come whose call is over.
  const view = await api.call(n.call).catch(() => null);
  if (!view || !['invited', 'ringing'].includes(view.state)) return;
  if (call?.state === 'preparing') await call.hangUp('another call came first');
  if (busy()) {
    await api.act(n.call, 'reject', { reason: 'busy' });
    return;
  }
  adopt(new Call(api, n.from ?? '?', 'incoming', wanted(), new Journal((entry) => panel.log(entry))));
  call?.invited(n);
}

byId('call-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const callee = byId('callee');
  if (!api || !(callee instanceof HTMLInputElement) || busy()) return;
  const mine = adopt(new Call(api, callee.value.trim(), 'outgoing', wanted(), new Journal((entry) => panel.log(entry))));
  byId('hang-up').focus();
  try {
    await mine.place(await devices());
  } catch (error) {
    if (!mine.over) mine.fail(error);
  }
});

/** Whether there is a call or a meeting. */
function busy() {
  return (!!call && !call.over) || (!!meeting && !meeting.over);
}

// Meetings.

byId('meeting-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = byId('meeting-id');
  const wish = field instanceof HTMLInputElement ? target(field.value) : null;
  setText(byId('meeting-error'), wish ? '' : 'That is neither a link to a meeting nor an ID.');
  if (wish) void join(wish);
});

byId('new-group').addEventListener('click', () => void join({ kind: 'groups', id: crypto.randomUUID() }));

byId('new-meeting').addEventListener('click', async () => {
  const subject = byId('subject');
  if (!api || busy()) return;
  try {
    const { id } = await api.schedule({ subject: subject instanceof HTMLInputElement ? subject.value.trim() : '' });
    await join({ kind: 'meetings', id });
  } catch (error) {
    setText(byId('meeting-error'), words(error));
  }
});

/** @param {{kind: 'meetings' | 'groups', id: string}} wish */
async function join(wish) {
  if (!api || !session || busy()) return;
  setText(byId('meeting-error'), '');
  const mine = new Meeting(api, session.user, wish, wanted(), new Journal((entry) => panel.log(entry)));
  meeting = mine;
  call = null;
  say('');
  panel.follow(mine);
  room.follow(mine);
  let before = '';
  mine.addEventListener('change', () => {
    if (meeting !== mine || mine.state === before) return;
    before = mine.state;
    setText(byId('announcer'), `${mine.peer}: ${mine.state === 'waiting' ? 'you are in the lobby' : mine.state}`);
    if (mine.over) {
      say(`${mine.peer}: ${mine.reason}${mine.endedBy ? `, by ${mine.endedBy}` : ''}.`);
      byId('meeting-id').focus();
    }
    render();
  });
  render();
  byId('m-leave').focus();
  try {
    await mine.join(await devices());
  } catch (error) {
    if (!mine.over) mine.fail(error);
  }
}

async function accept() {
  const mine = call;
  if (mine?.state !== 'incoming') return;
  closeIncoming();
  byId('hang-up').focus();
  try {
    await mine.accept(await devices());
  } catch (error) {
    if (!mine.over) mine.fail(error);
  }
}

async function devices() {
  const media = await openDevices();
  if (media.missing) say(media.missing);
  return media;
}

/** @returns {import('./call.js').Wanted} */
function wanted() {
  const force = byId('force-relay');
  const transport = byId('transport');
  return {
    forceRelay: force instanceof HTMLInputElement && force.checked,
    transport: /** @type {import('./ice.js').Transport} */ (transport instanceof HTMLSelectElement ? transport.value : 'any'),
  };
}

/** Makes a call the page's. @param {Call} mine */
function adopt(mine) {
  call = mine;
  say('');
  panel.follow(mine);
  let before = '';
  mine.addEventListener('change', () => {
    if (call !== mine) return;
    if (mine.state !== before) announce(mine);
    if (mine.over && before !== 'ended') ended(mine);
    before = mine.state;
    render();
  });
  mine.addEventListener('sample', () => call === mine && render());
  render();
  return mine;
}

/** @param {Call} mine */
function ended(mine) {
  closeIncoming();
  say(`Call with ${mine.peer} ended: ${mine.reason}${mine.endedBy ? ` by ${mine.endedBy}` : ''}.`);
  byId('callee').focus();
}

// What is shown.

const stateWords = {
  preparing: 'preparing', calling: 'calling', ringing: 'ringing', incoming: 'is calling you', connecting: 'connecting',
  connected: 'connected', reconnecting: 'looking for a path', ended: 'ended',
};

function render() {
  const active = !!call && !call.over;
  byId('stage').hidden = !session;
  byId('panel').hidden = !call && !meeting;
  const meets = !!meeting && !meeting.over;
  byId('room').hidden = !meets;
  byId('start').hidden = meets || (active && call?.state !== 'incoming');
  byId('call').hidden = !active || call?.state === 'incoming';
  document.title = call?.state === 'incoming' ? `${call.peer} is calling – callpath` : active ? `${call?.peer} – callpath` : meets ? `${meeting?.peer} – callpath` : 'callpath';
  if (!call) return;
  if (call.state === 'incoming') openIncoming(call.peer);
  else closeIncoming();
  show(byId('remote'), active && call.since ? call.remoteStream : null);
  show(byId('local'), active ? (call.media?.stream ?? null) : null);
  setText(byId('peer'), call.peer);
  setText(byId('call-state'), call.heldHere ? 'on hold' : call.heldThere ? 'has put you on hold' : stateWords[call.state]);
  const sees = call.remoteStream.getVideoTracks().length > 0 && !!call.sample?.streams.videoIn;
  const covered = !call.since || call.heldHere || call.heldThere || call.state === 'reconnecting' || !sees;
  byId('pictures').dataset.covered = String(covered);
  setText(byId('avatar'), call.peer.slice(0, 1).toUpperCase());
  setText(byId('cover-text'), call.heldHere ? 'On hold' : call.heldThere ? 'You are on hold' : call.since && call.state === 'connected' ? 'No picture' : stateWords[call.state]);
  setText(byId('self-note'), call.muted ? 'You, muted' : 'You');
  byId('self').dataset.dark = String(call.cameraOff || !call.media?.stream.getVideoTracks().length);
  lock(call);
  byId('mute').setAttribute('aria-pressed', String(call.muted));
  byId('camera').setAttribute('aria-pressed', String(call.cameraOff));
  byId('hold').setAttribute('aria-pressed', String(call.heldHere));
  const up = call.since > 0;
  disable('hold', !up);
  disable('restart', !up && call.state !== 'reconnecting');
  disable('mute', !call.media?.stream.getAudioTracks().length);
  disable('camera', !call.media?.stream.getVideoTracks().length);
}

/** Says beside the name whether the call is encrypted between the right two. @param {Call} mine */
function lock(mine) {
  const s = mine.sample;
  const element = byId('lock');
  const wrong = s?.fingerprints.local?.matched === false || s?.fingerprints.remote?.matched === false;
  element.hidden = s?.dtls.state !== 'connected';
  element.dataset.wrong = String(wrong);
  setText(element, wrong ? 'fingerprint wrong' : 'encrypted');
}

/** @param {HTMLElement} video @param {MediaStream | null} stream */
function show(video, stream) {
  if (video instanceof HTMLVideoElement && video.srcObject !== stream) video.srcObject = stream;
}

/** @param {string} id @param {boolean} disabled */
function disable(id, disabled) {
  byId(id).toggleAttribute('disabled', disabled);
}

/** @param {string} peer */
function openIncoming(peer) {
  const dialog = byId('incoming');
  if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
  setText(byId('incoming-text'), `${peer} is calling you.`);
  setText(byId('incoming-avatar'), peer.slice(0, 1).toUpperCase());
  dialog.showModal();
  byId('accept').focus();
}

function closeIncoming() {
  const dialog = byId('incoming');
  if (dialog instanceof HTMLDialogElement && dialog.open) dialog.close();
}

/** Tells something that the user should read. @param {string} text */
function say(text) {
  setText(byId('notice'), text);
  byId('notice').hidden = text === '';
}

/** @param {Call} mine */
function announce(mine) {
  setText(byId('announcer'), mine.state === 'incoming' ? `${mine.peer} is calling you` : `Call with ${mine.peer}: ${stateWords[mine.state]}`);
}

/** @param {unknown} error */
function words(error) {
  if (error instanceof Problem || error instanceof SignInError) return error.message;
  return 'The server cannot be reached. Is the network up?';
}

setInterval(() => {
  const seconds = call?.since && !call.over ? Math.floor((performance.now() - call.since) / 1000) : -1;
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  setText(byId('clock'), seconds < 0 ? '' : `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`);
}, 500);

// Buttons and keys.

const actions = {
  accept: () => void accept(),
  reject: () => void (call?.state === 'incoming' && call.hangUp()),
  mute: () => call?.mute(!call.muted),
  camera: () => call?.setCamera(call.cameraOff),
  hold: () => void call?.hold(!call.heldHere).catch((error) => call?.journal.fault('signaling', 'hold not possible', error)),
  restart: () => call?.newPath(),
  'hang-up': () => void call?.hangUp(),
  'm-mute': () => meeting?.mute(!meeting.muted),
  'm-camera': () => meeting?.setCamera(meeting.cameraOff),
  'm-share': () => void meeting?.share(!meeting.screen).catch((error) => meeting?.journal.fault('media', 'the screen is not shared', error)),
  'm-restart': () => meeting?.newPath(),
  'm-leave': () => void meeting?.leave().catch((error) => meeting?.journal.fault('signaling', 'not left', error)),
  'm-end': () => void meeting?.leave(true).catch((error) => meeting?.journal.fault('signaling', 'not ended', error)),
};

for (const [id, act] of Object.entries(actions)) byId(id).addEventListener('click', act);

byId('incoming').addEventListener('cancel', (event) => {
  event.preventDefault();
  actions.reject();
});

/** Keys by the buttons of which they press the one that is shown. */
const keys = {
  a: ['accept'], d: ['reject'], m: ['mute', 'm-mute'], c: ['camera', 'm-camera'], h: ['hold'], r: ['restart', 'm-restart'], s: ['m-share'],
  e: ['hang-up', 'm-leave'],
};

document.addEventListener('keydown', (event) => {
  const target = event.target;
  const typing = target instanceof HTMLInputElement && target.type !== 'checkbox';
  const on = byId('shortcuts');
  if (typing || target instanceof HTMLSelectElement || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  if (!(on instanceof HTMLInputElement) || !on.checked) return;
  if (event.key === '/') {
    event.preventDefault();
    byId('callee').focus();
    return;
  }
  const ids = keys[/** @type {keyof typeof keys} */ (event.key.toLowerCase())] ?? [];
  const button = ids.map((id) => byId(id)).find((b) => b.checkVisibility());
  if (button instanceof HTMLButtonElement) button.click();
});

addEventListener('pagehide', () => {
  call?.abandon();
  meeting?.abandon();
});
addEventListener('online', () => {
  for (const it of [call, meeting]) if (it && !it.over && it.since) it.newPath();
});

void enter();
