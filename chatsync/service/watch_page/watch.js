/* The watch page: a video, or a clock where there is none, with chat, activity, search and moments beside it. */
'use strict';

const told = JSON.parse(document.body.dataset.watch);
const { ChatsyncChat, HlsAdapter, RecordingAdapter } = ChatsyncPlayer;
const MOMENTS_SHOWN = 400;

const language = (navigator.language || 'en').toLowerCase();
if (language.startsWith('ar')) {
  document.documentElement.lang = 'ar';
  document.documentElement.dir = 'rtl';
}
const words = ChatsyncPlayer.findingStringsFor(document.documentElement.lang);

// No text becomes code here, with one exception: hls.js names the worker that it has just made by the text of its URL.
if (window.trustedTypes) {
  trustedTypes.createPolicy('default', {
    createScriptURL: (url) => (url.startsWith(`blob:${window.location.origin}/`) ? url : null),
  });
}

// ── Chat in files ────────────────────────────────────────────────────────────────────────────────────────────────────

const relayFetch = window.fetch.bind(window);

/** What a search answers, from the files of a published room. The cursor is the number of the next file. */
async function searchFiles(base, query) {
  const sought = ChatsyncPlayer.compared(query.get('q') || '').split(/\s+/u).filter((word) => word !== '');
  const hits = [];
  let next = Number(query.get('cursor') || 0);
  while (next !== null && hits.length < 20) {
    const answer = await relayFetch(`${base}search/${query.get('recording')}.${next}.json`);
    if (!answer.ok) return answer;
    const file = await answer.json();
    for (const hit of file.hits) {
      const text = ChatsyncPlayer.compared(hit.text);
      if (sought.every((word) => text.includes(word))) hits.push(hit);
    }
    next = file.next;
  }
  return new Response(JSON.stringify({ hits, cursor: next === null ? null : String(next) }), { headers: { 'Content-Type': 'application/json' } });
}

if (told.files) {
  // A web server of files knows no queries: what they ask for has a name of its own.
  window.fetch = (input, options) => {
    const url = new URL(input, document.baseURI);
    const found = /^(.*\/v1\/rooms\/[^/]+\/)(chat\.json|activity|search|recordings(?:\/[^/]+)?)$/.exec(url.origin + url.pathname);
    if (found === null) return relayFetch(input, options);
    const [, base, what] = found;
    if (what === 'search') return searchFiles(base, url.searchParams);
    const broadcast = url.searchParams.get('broadcast');
    const name = what === 'activity' ? `activity.${url.searchParams.get('recording')}` : what === 'chat.json' ? (broadcast === null ? 'chat' : `chat.${broadcast}`) : what;
    return relayFetch(`${base}${name}.json`, options);
  };
}

// ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const byId = (id) => document.getElementById(id);
const stage = byId('stage');
const side = byId('side');

function made(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith('aria-') || name === 'role' || name.startsWith('data-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function clockText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function timeText(atMs, isPosition) {
  if (isPosition) return clockText(atMs);
  return new Date(atMs).toLocaleTimeString(document.documentElement.lang, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** A player without a picture: time goes on, and that is all. What the adapter asks of a video it has. */
class Clock extends EventTarget {
  constructor(durationMs) {
    super();
    this.duration = durationMs / 1000;
    this.playbackRate = 1;
    this.readyState = 4;
    this.seeking = false;
    this.paused = true;
    this.fromS = 0;
    this.sinceMs = 0;
    setInterval(() => {
      if (this.paused) return;
      if (this.ended) this.pause();
      else this.dispatchEvent(new Event('timeupdate'));
    }, 250);
  }

  get ended() {
    return this.currentTime >= this.duration;
  }

  get currentTime() {
    const goneS = this.paused ? 0 : ((performance.now() - this.sinceMs) / 1000) * this.playbackRate;
    return Math.min(this.duration, this.fromS + goneS);
  }

  set currentTime(timeS) {
    this.seeking = true;
    this.fromS = Math.min(this.duration, Math.max(0, timeS));
    this.sinceMs = performance.now();
    this.dispatchEvent(new Event('seeking'));
    this.seeking = false;
    this.dispatchEvent(new Event('seeked'));
    this.dispatchEvent(new Event('timeupdate'));
  }

  play() {
    if (this.ended) this.currentTime = 0;
    this.sinceMs = performance.now();
    this.paused = false;
    this.dispatchEvent(new Event('play'));
    this.dispatchEvent(new Event('playing'));
    return Promise.resolve();
  }

  pause() {
    this.fromS = this.currentTime;
    this.paused = true;
    this.dispatchEvent(new Event('pause'));
  }
}

// ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const common = { room: told.room, server: told.server };
const chat = Object.assign(new ChatsyncChat(), common);
const heatmap = Object.assign(document.createElement('chatsync-heatmap'), common);
const search = Object.assign(document.createElement('chatsync-search'), common);
const moments = made('ol', { className: 'list' });
const recordings = made('ul', { className: 'list' });
const shareButton = made('button', { type: 'button', textContent: words.share });
const shareStatus = made('p', { role: 'status' });
const shareLink = made('input', { type: 'text', readOnly: true, hidden: true, 'aria-label': words.share });
let media = null;
let adapter = null;
let spans = null;

const roomUrl = (path) => new URL(`v1/rooms/${encodeURIComponent(told.room)}/${path}`, new URL(told.server, document.baseURI)).href;

async function read(path) {
  // Asked for again it must be new: the list of recordings has just grown.
  const answer = await fetch(roomUrl(path), { credentials: 'omit', cache: 'no-cache' });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

const TABS = [
  ['chat', words.chat, chat],
  ['search', words.search, search],
  ['moments', words.chapters, moments],
  ['recordings', words.recordings, recordings],
];

function showTab(wanted) {
  for (const [name] of TABS) {
    const tab = byId(`tab-${name}`);
    tab.setAttribute('aria-selected', String(name === wanted));
    tab.tabIndex = name === wanted ? 0 : -1;
    byId(`panel-${name}`).hidden = name !== wanted;
  }
}

function layTabs() {
  const list = made('div', { role: 'tablist', 'aria-label': words.chat });
  side.append(list);
  for (const [name, label, content] of TABS) {
    list.append(made('button', { type: 'button', id: `tab-${name}`, role: 'tab', textContent: label, 'aria-controls': `panel-${name}`, onclick: () => showTab(name) }));
    side.append(made('div', { id: `panel-${name}`, role: 'tabpanel', 'aria-labelledby': `tab-${name}` }, content));
  }
  list.addEventListener('keydown', (event) => {
    const names = TABS.map(([name]) => name);
    const at = names.findIndex((name) => byId(`tab-${name}`).getAttribute('aria-selected') === 'true');
    const back = document.documentElement.dir === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
    const on = document.documentElement.dir === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
    const next = { [back]: at - 1, [on]: at + 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const name = names[(next + names.length) % names.length];
    showTab(name);
    byId(`tab-${name}`).focus();
  });
  showTab('chat');
}

function showNothing(list, text) {
  list.replaceChildren(made('li', { className: 'none', textContent: text }));
}

/** Where the viewer is, on the axis of what is shown; null before that is known. */
function nowMs(isPosition) {
  if (isPosition) return media === null ? null : media.currentTime * 1000;
  const address = adapter === null ? null : adapter.address();
  return address === null ? null : (address.programTimeMs ?? null);
}

function seekTo(atMs, isPosition) {
  if (isPosition && media !== null) media.currentTime = Math.max(0, atMs) / 1000;
  else if (!isPosition && adapter !== null) shareStatus.textContent = adapter.seekTo(Math.floor(atMs)) ? '' : words.outOfReach;
}

/** A live stream keeps its last hours, or minutes: what is asked for may have left it, and that is said. */
function onSeekRequest(event) {
  const { programMs } = event.detail;
  if (programMs === null || told.recording !== null) return;
  event.preventDefault();
  seekTo(programMs, false);
}

function showMoments(activity) {
  const isPosition = activity.axis === 'position';
  const peaks = activity.peaks.map((peak) => ({ what: 'peak', atMs: peak.startMs, kind: words.aPeak, text: words.messages(peak.count) }));
  const marks = activity.moments.map(({ what, atMs, text, upvotes, answered }) => {
    const extra = [upvotes > 0 ? words.upvotes(upvotes) : '', answered ? words.answered : ''].filter((one) => one !== '');
    const kind = { question: words.aQuestion, poll: words.aPoll, pin: words.aPin }[what];
    return { what, atMs, kind: [kind, ...extra].join(' · '), text };
  });
  const all = [...peaks, ...marks].sort((a, b) => a.atMs - b.atMs).slice(0, MOMENTS_SHOWN);
  if (all.length === 0) {
    showNothing(moments, words.nothingYet);
    return;
  }
  moments.replaceChildren(
    ...all.map(({ what, atMs, kind, text }) =>
      made(
        'li',
        {},
        made(
          'button',
          { type: 'button', 'data-what': what, 'data-at': String(atMs), onclick: () => seekTo(atMs, isPosition) },
          made('time', { textContent: timeText(atMs, isPosition) }),
          made('span', {}, made('span', { className: 'kind', textContent: kind }), made('bdi', { dir: 'auto', textContent: text })),
        ),
      ),
    ),
  );
}

function markCurrent() {
  const activity = heatmap.activity;
  const at = activity === null ? null : nowMs(activity.axis === 'position');
  if (at === null) return;
  let current = null;
  for (const button of moments.querySelectorAll('button')) {
    button.removeAttribute('aria-current');
    if (Number(button.dataset.at) <= at + 500) current = button;
  }
  if (current !== null) current.setAttribute('aria-current', 'true');
}

/** @returns their ids. */
async function showRecordings() {
  const { recordings: found } = await read('recordings');
  const ids = found.map(({ recording }) => recording);
  if (found.length === 0) {
    showNothing(recordings, words.nothingYet);
    return ids;
  }
  recordings.replaceChildren(
    ...found.map(({ recording, duration_ms: durationMs }) => {
      const link = made('a', { href: told.link.replace('{}', encodeURIComponent(recording)) }, made('bdi', { textContent: recording }), made('time', { textContent: clockText(durationMs) }));
      if (recording === told.recording) link.setAttribute('aria-current', 'page');
      return made('li', {}, link);
    }),
  );
  return ids;
}

// ── Sharing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `#t=` is a position in seconds, `?at=` a program time in ms. */
function sharedPlace() {
  const position = /^#t=(\d+(?:\.\d+)?)$/.exec(window.location.hash);
  if (position !== null) return { atMs: Number(position[1]) * 1000, isPosition: true };
  const at = new URLSearchParams(window.location.search).get('at');
  return at !== null && /^\d{1,15}$/.test(at) ? { atMs: Number(at), isPosition: false } : null;
}

function linkHere() {
  const url = new URL(window.location.href);
  url.hash = '';
  url.search = '';
  const isPosition = media !== null && spans !== null;
  const at = nowMs(isPosition);
  if (at !== null && isPosition) url.hash = `t=${Math.floor(at / 1000)}`;
  else if (at !== null) url.search = `?at=${Math.floor(at)}`;
  return { url: url.href, time: at === null ? '' : timeText(at, isPosition) };
}

async function share() {
  const { url, time } = linkHere();
  window.history.replaceState(null, '', url);
  shareLink.hidden = true;
  try {
    await navigator.clipboard.writeText(url);
    shareStatus.textContent = words.copied(time);
  } catch {
    shareStatus.textContent = words.copyThis;
    shareLink.value = url;
    shareLink.hidden = false;
    shareLink.select();
  }
}

function goToShared() {
  const place = sharedPlace();
  if (place === null) return;
  if (place.isPosition || spans === null) seekTo(place.atMs, place.isPosition);
  else {
    const span = spans.find((one) => one.program_ms <= place.atMs && place.atMs < one.program_ms + one.duration_ms);
    if (span !== undefined) seekTo(span.position_ms + place.atMs - span.program_ms, true);
  }
}

// ── Live, and after ──────────────────────────────────────────────────────────────────────────────────────────────────
// The playlist on screen says first that it has ended, and the relay some seconds later. What is on the screen then plays on to its end,
// and is rewound as before: nobody is taken anywhere. The room says that it is over, and where the replay is.

const LOOK_MS = 30_000;
const LOOK_AFTER_END_MS = 2_000;
const LOOKS_AFTER_END_MAX = 30; // a minute; then as ever
let isLive = false;
let hasEndedHere = false; // the player's own playlist says so
let hls = null;
let lookTimer = 0;
let looks = 0; // since the end, without a replay

function showLive(text, replay) {
  const which = byId('which');
  const parts = replay === null ? [text] : [text, ' ', made('a', { href: told.link.replace('{}', replay), textContent: words.replay })];
  const isOther = which.querySelector('a') === null ? replay !== null : replay === null;
  if (isOther || !which.textContent.startsWith(text)) which.replaceChildren(...parts); // a link that has the focus keeps it
}

/** Ask the relay; again in a while. */
async function lookWhetherLive() {
  window.clearTimeout(lookTimer);
  let againMs = LOOK_MS;
  try {
    const { live, broadcast } = await read('chat.json');
    const isOver = !live || hasEndedHere;
    const replay = `broadcast-${broadcast}`;
    const hasReplay = isOver && (await showRecordings()).includes(replay);
    showLive(isOver ? words.ended : words.live, hasReplay ? replay : null);
    looks = isOver && !hasReplay ? looks + 1 : 0;
    if (looks > 0 && looks < LOOKS_AFTER_END_MAX) againMs = LOOK_AFTER_END_MS;
    if (!live) hasEndedHere = false; // from now on the relay is believed
    if (live && !isOver && !isLive && hls !== null) hls.loadSource(told.media); // the next one, or the same again
    isLive = !isOver;
  } catch {
    // The chat element says what is wrong.
  }
  lookTimer = window.setTimeout(lookWhetherLive, againMs);
}

function onLevel(_, { details }) {
  if (details.live || hasEndedHere || !isLive) return;
  hasEndedHere = true;
  lookWhetherLive();
}

// ── Playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function useAdapter(found) {
  if (adapter !== null) adapter.destroy();
  adapter = found;
  for (const element of [chat, heatmap, search]) element.adapter = found;
}

function playFile(video, url) {
  const isList = new URL(url, document.baseURI).pathname.endsWith('.m3u8');
  if (!isList || !window.Hls || !Hls.isSupported()) {
    video.src = url;
    video.addEventListener('error', () => playSilently(words.cannotPlay), { once: true });
    return null;
  }
  const player = new Hls({ backBufferLength: 120 });
  let retries = 0;
  player.on(Hls.Events.ERROR, (_, error) => {
    if (!error.fatal) return;
    retries += 1;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && retries < 3) player.recoverMediaError();
    else if (told.recording === null && (isLive || retries < 20)) {
      if (video.readyState === 0) shareStatus.textContent = words.waiting;
      window.setTimeout(() => player.loadSource(url), Math.min(10_000, 1000 * retries));
    } else {
      player.destroy();
      hls = null;
      playSilently(words.cannotPlay);
    }
  });
  player.on(Hls.Events.LEVEL_LOADED, () => {
    retries = 0;
    if (shareStatus.textContent === words.waiting) shareStatus.textContent = '';
  });
  player.on(Hls.Events.LEVEL_UPDATED, onLevel);
  player.loadSource(url);
  player.attachMedia(video);
  return player;
}

/** Where there is no video, what was said still has its times. */
function playSilently(text) {
  const from = heatmap.activity;
  const durationMs = spans !== null ? spans.durationMs : from === null ? 0 : from.endMs - from.startMs;
  if (spans === null && from !== null && from.broadcast !== null) {
    spans = [{ position_ms: 0, duration_ms: durationMs, broadcast: from.broadcast, program_ms: from.startMs, method: 'offset', score: 1 }];
  }
  const clock = new Clock(durationMs);
  media = clock;
  const button = made('button', { type: 'button', textContent: words.playChat, onclick: () => (clock.paused ? clock.play() : clock.pause()) });
  const bar = made('input', { type: 'range', min: '0', max: String(Math.max(1, Math.floor(clock.duration))), step: '1', value: '0', 'aria-label': words.position });
  const time = made('time', { textContent: clockText(0) });
  bar.addEventListener('input', () => (clock.currentTime = Number(bar.value)));
  clock.addEventListener('timeupdate', () => {
    bar.value = String(clock.currentTime);
    bar.setAttribute('aria-valuetext', clockText(clock.currentTime * 1000));
    time.textContent = clockText(clock.currentTime * 1000);
  });
  for (const name of ['play', 'pause']) clock.addEventListener(name, () => (button.textContent = clock.paused ? words.playChat : words.pauseChat));
  const old = stage.querySelector('video, .silent');
  const silent = made('div', { className: 'silent' }, made('p', { textContent: text }), made('div', {}, button, bar, time));
  if (old === null) stage.prepend(silent);
  else old.replaceWith(silent);
  for (const element of [heatmap, search]) element.media = told.recording === null ? null : clock;
  useAdapter(new RecordingAdapter(clock, spans ?? []));
  goToShared();
}

async function open() {
  if (told.recording !== null) {
    for (const element of [chat, heatmap, search]) element.recording = told.recording;
    const record = await read(`recordings/${encodeURIComponent(told.recording)}`);
    spans = record.spans;
    heatmap.bucketMs = Math.min(10_000, Math.max(1_000, Math.floor(record.duration_ms / 150_000) * 1_000));
    spans.durationMs = record.duration_ms;
  }
  if (told.media === null) {
    if (spans !== null) playSilently(words.noVideo);
    else heatmap.addEventListener('chatsync-activity', () => !isLive && playSilently(words.noVideo), { once: true });
    return;
  }
  const video = made('video', { controls: true, playsInline: true, preload: 'metadata' });
  stage.prepend(video);
  media = video;
  hls = playFile(video, told.media);
  if (spans !== null) {
    for (const element of [heatmap, search]) element.media = video;
    useAdapter(new RecordingAdapter(video, spans));
    video.addEventListener('loadedmetadata', goToShared, { once: true });
  } else if (hls !== null) {
    useAdapter(new HlsAdapter(hls, video));
    video.addEventListener('loadeddata', goToShared, { once: true });
    // Who presses play on a live page wants what is on now, not what was when the page was opened.
    video.addEventListener('play', () => isLive && sharedPlace() === null && adapter.seekToLive(), { once: true });
  }
}

async function start() {
  stage.setAttribute('aria-label', words.position);
  layTabs();
  const isWide = window.matchMedia('(min-width: 821px)');
  isWide.addEventListener('change', () => (heatmap.peaks = isWide.matches));
  heatmap.peaks = isWide.matches;
  stage.append(heatmap, made('div', { className: 'tools' }, shareButton, shareLink, shareStatus));
  byId('which').textContent = told.recording ?? '';
  for (const element of [chat, heatmap, search]) element.addEventListener('chatsync-seek-request', onSeekRequest);
  shareButton.addEventListener('click', share);
  window.addEventListener('hashchange', goToShared);
  // Whoever goes to a moment on a phone wants to see it, and the chat there.
  search.addEventListener('chatsync-seek-request', () => window.matchMedia('(max-width: 820px)').matches && showTab('chat'));
  heatmap.addEventListener('chatsync-activity', (event) => showMoments(event.detail));
  window.setInterval(markCurrent, 1000);
  showNothing(moments, words.nothingYet);
  showNothing(recordings, words.nothingYet);
  showRecordings().catch(() => undefined);
  if (told.recording === null && !told.files) await lookWhetherLive();
  await open();
  window.watch = { chat, heatmap, search, get media() { return media; }, get adapter() { return adapter; } }; // for tests and for the curious
}

start();
