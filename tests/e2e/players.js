/* A page with one real player and the chat beside it: `?player=…&playlist=…&server=…&room=…[&low]`. */
const asked = new URLSearchParams(location.search);
const playlist = asked.get('playlist');
const isLow = asked.has('low');
const chat = document.querySelector('chatsync-chat');
const stage = document.getElementById('stage');
const complaints = [];

const script = (path) =>
  new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.onload = resolve;
    element.onerror = reject;
    element.src = `/e2e/modules/${path}`;
    document.head.append(element);
  });

function plainVideo() {
  const video = document.createElement('video');
  video.muted = true;
  video.width = 640;
  stage.append(video);
  return video;
}

/** Each makes its player once and gives the <video>, how to open the stream (also for a second time), and what date the player tells itself. */
const players = {
  async hlsjs() {
    await script('hls.js/dist/hls.js');
    const video = plainVideo();
    let hls = null;
    const open = () => {
      hls?.destroy();
      hls = new Hls({ lowLatencyMode: isLow, backBufferLength: 4 });
      hls.on(Hls.Events.ERROR, (_, error) => error.fatal && complain('hls.js', error.details));
      hls.loadSource(playlist);
      hls.attachMedia(video);
      hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
      follow(new ChatsyncPlayer.HlsAdapter(hls, video, { onRestart }));
    };
    const own = () => hls.playingDate?.getTime() ?? null;
    return { video, open, own };
  },

  async videojs() {
    await script('video.js/dist/video.js');
    const element = plainVideo();
    const player = videojs(element, { html5: { vhs: { overrideNative: true, llhls: isLow } }, liveui: true, muted: true });
    player.on('error', () => complain('video.js', player.error()?.message));
    const open = () => {
      player.src({ src: playlist, type: 'application/x-mpegURL' });
      player.play();
    };
    await new Promise((ready) => player.ready(ready));
    follow(new ChatsyncPlayer.VideoJsAdapter(player, { onRestart }));
    const own = () => {
      let programMs = null;
      player.tech(true).vhs?.convertToProgramTime(player.currentTime(), (error, found) => {
        if (!error && found.programDateTime) programMs = Date.parse(found.programDateTime);
      });
      return programMs;
    };
    return { video: player.el().querySelector('video'), open, own };
  },

  async shaka() {
    await script('shaka-player/dist/shaka-player.compiled.js');
    shaka.polyfill.installAll();
    const video = plainVideo();
    const player = new shaka.Player();
    await player.attach(video);
    player.addEventListener('error', ({ detail }) => complain('shaka', `${detail.category ?? ''} ${detail.code ?? ''} ${detail.message ?? detail}`));
    // Without a window of its own Shaka 5.2 loses its segments one by one after an outage, and then falls over ("reading 'next'").
    player.configure({ manifest: { availabilityWindowOverride: 600 } });
    player.configure({ streaming: { lowLatencyMode: isLow, preferNativeHls: false, bufferBehind: 4 } });
    follow(new ChatsyncPlayer.ShakaAdapter(player, video, { onRestart }));
    const open = () => player.load(playlist).then(() => video.play(), (error) => complain('shaka', `${error.category} ${error.code}`));
    const own = () => player.getPlayheadTimeAsDate()?.getTime() ?? null;
    return { video, open, own };
  },

  async element() {
    await import('hls-video-element');
    const element = document.createElement('hls-video');
    element.muted = true;
    element.autoplay = true;
    element.config = { lowLatencyMode: isLow, backBufferLength: 4 };
    stage.append(element);
    follow(new ChatsyncPlayer.HlsElementAdapter(element, { onRestart }));
    const open = () => {
      element.removeAttribute('src');
      element.setAttribute('src', playlist);
      element.addEventListener('loadedmetadata', () => element.play(), { once: true });
    };
    const own = () => element.api?.playingDate?.getTime() ?? null;
    return { video: element.nativeEl, open, own };
  },

  async native() {
    const video = plainVideo();
    follow(new ChatsyncPlayer.NativeAdapter(video));
    const open = () => {
      video.src = playlist;
      video.play().catch((error) => complain('native', error.name));
    };
    return { video, open, own: () => null };
  },
};

/** The encoder counts anew. The test asks how often. */
function onRestart() {
  window.demo.restarts += 1;
  window.demo.open();
}

function complain(player, what) {
  complaints.push(`${player}: ${what}`);
}

function follow(adapter) {
  if (chat.adapter) chat.adapter.destroy();
  chat.adapter = adapter;
}

/* Little is kept behind the picture, so that a seek back is one into what is not loaded. */
chat.server = asked.get('server');
chat.room = asked.get('room');
const { video, open, own } = await players[asked.get('player')]();
video.muted = true;
window.demo = { video, chat, open, own, complaints, restarts: 0 }; // before the stream, for the probe
open();
