/* The demo's page: hls.js, the chat element, and a clock read out of the picture to show that both agree. */
'use strict';

const byId = (id) => document.getElementById(id);
const video = byId('video');
const chat = byId('chat');
const canvas = document.createElement('canvas');
const context = canvas.getContext('2d', { willReadFrequently: true });
let hls = null;
let setup = null;

// No text becomes code here, with one exception: hls.js names the worker that it has just made by the text of its URL.
if (window.trustedTypes) {
  trustedTypes.createPolicy('default', {
    createScriptURL: (url) => (url.startsWith(`blob:${window.location.origin}/`) ? url : null),
  });
}

/** Camera time in the picture on screen, ms since the Unix epoch; null if the blocks cannot be read. */
function pictureMs() {
  const { size_px: size, block_count: count, value_bits: bits, check_bits: checks } = setup.blocks;
  if (video.videoWidth === 0) return null;
  canvas.width = count;
  canvas.height = 1;
  context.imageSmoothingEnabled = true;
  context.drawImage(video, 0, size / 4, count * size, size / 2, 0, 0, count, 1);
  const data = context.getImageData(0, 0, count, 1).data;
  const lit = Array.from({ length: count }, (_, block) => (data[4 * block] > 127 ? 1 : 0));
  if (!(lit[0] === 1 && lit[1] === 0 && lit[count - 2] === 1 && lit[count - 1] === 0)) return null;
  let value = 0;
  for (let bit = 0; bit < bits; bit += 1) value += lit[2 + bit] * 2 ** bit;
  let check = 0;
  for (let bit = 0; bit < checks; bit += 1) check += lit[2 + bits + bit] * 2 ** bit;
  let digits = 0;
  for (let left = value; left > 0; left = Math.floor(left / 16)) digits += left % 16;
  if (digits % 16 !== check) return null;
  const wrap = 2 ** bits;
  const now = Date.now();
  return now + ((((value - now + wrap / 2) % wrap) + wrap) % wrap) - wrap / 2;
}

const clockText = (ms) => (ms === null ? '–' : new Date(ms).toISOString().slice(11, 23));

function showFacts() {
  const picture = pictureMs();
  const cutoff = chat.shown ? chat.shown.cutoffMs : null;
  byId('picture').textContent = clockText(picture);
  byId('cutoff').textContent = clockText(cutoff);
  const both = picture !== null && cutoff !== null;
  byId('difference').textContent = both ? `${Math.round(cutoff - picture)} ms` : '–';
}

function showPosition() {
  const ranges = video.seekable;
  if (ranges.length === 0) return;
  const bar = byId('bar');
  bar.min = String(ranges.start(0));
  bar.max = String(ranges.end(ranges.length - 1));
  if (document.activeElement !== bar || !bar.matches(':active')) bar.value = String(video.currentTime);
}

function liveEdge() {
  if (hls && hls.liveSyncPosition) return hls.liveSyncPosition;
  return video.seekable.length > 0 ? video.seekable.end(video.seekable.length - 1) : 0;
}

function seek(time) {
  const ranges = video.seekable;
  if (ranges.length === 0) return;
  video.currentTime = Math.min(Math.max(time, ranges.start(0)), ranges.end(ranges.length - 1) - 0.1);
}

function open() {
  if (chat.adapter) chat.adapter.destroy();
  if (hls) hls.destroy();
  hls = new Hls({ liveDurationInfinity: false, backBufferLength: 60 });
  hls.loadSource(setup.playlist);
  hls.attachMedia(video);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => undefined));
  hls.on(Hls.Events.ERROR, (_, error) => {
    // hls.js stops for good when an encoder restarts with lower numbers: open the stream anew.
    if (error.fatal) window.setTimeout(open, 1000);
  });
  hls.on(Hls.Events.LEVEL_UPDATED, (_, update) => {
    byId('state').textContent = update.details.live ? 'live' : 'recording';
    byId('stop').disabled = !update.details.live;
    byId('live').textContent = update.details.live ? 'Live' : 'End';
  });
  chat.adapter = new ChatsyncPlayer.HlsAdapter(hls, video);
  window.demo = { hls, video, chat, pictureMs }; // for tests and for the curious
}

async function join(event) {
  event.preventDefault();
  const role = event.submitter && event.submitter.dataset.role ? event.submitter.dataset.role : 'participant';
  const answer = await fetch('/demo/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: byId('name').value, role }),
  });
  if (answer.ok) chat.token = (await answer.json()).token;
}

async function start() {
  setup = await (await fetch('/demo/setup.json')).json();
  chat.room = setup.room;
  open();
  window.setInterval(showPosition, 250);
  const frame = () => {
    showFacts();
    video.requestVideoFrameCallback(frame);
  };
  video.requestVideoFrameCallback(frame);
  byId('play').addEventListener('click', () => (video.paused ? video.play() : video.pause()));
  video.addEventListener('play', () => (byId('play').textContent = 'Pause'));
  video.addEventListener('pause', () => (byId('play').textContent = 'Play'));
  for (const button of document.querySelectorAll('[data-step]')) {
    button.addEventListener('click', () => seek(video.currentTime + Number(button.dataset.step)));
  }
  byId('bar').addEventListener('change', (event) => seek(Number(event.target.value)));
  byId('live').addEventListener('click', () => {
    seek(liveEdge());
    video.play();
  });
  byId('rate').addEventListener('click', (event) => {
    video.playbackRate = video.playbackRate === 1 ? 2 : 1;
    event.target.setAttribute('aria-pressed', String(video.playbackRate === 2));
  });
  byId('join').addEventListener('submit', join);
  byId('stop').addEventListener('click', () => {
    byId('stop').disabled = true;
    fetch('/demo/stop', { method: 'POST' });
  });
}

start();
