/* Runs in the page: notes, at every presented frame, the clock in the picture and what the pane shows. */
'use strict';

window.probe = (() => {
  const video = window.demo?.video ?? document.querySelector('video'); // it may lie in an element's shadow root
  const chat = document.querySelector('chatsync-chat');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let samples = [];
  let blocks = null;
  let seeks = [];
  let open = null; // the seek under way
  let generation = -1;
  let lastAtTheEndMs = -Infinity;
  const dueAtTheEnd = new Set(); // offsets

  /** Camera time of the frame on screen, ms since the Unix epoch, out of its black and white blocks. */
  function pictureMs() {
    const { size_px: size, block_count: count, value_bits: bits, check_bits: checks } = blocks;
    canvas.width = count * size;
    canvas.height = size;
    context.drawImage(video, 0, 0, count * size, size, 0, 0, count * size, size);
    const data = context.getImageData(0, size / 2, count * size, 1).data;
    const lit = (block) => (data[4 * (block * size + size / 2)] > 127 ? 1 : 0);
    if (!(lit(0) && !lit(1) && lit(count - 2) && !lit(count - 1))) return null;
    let value = 0;
    for (let bit = 0; bit < bits; bit += 1) value += lit(2 + bit) * 2 ** bit;
    let check = 0;
    for (let bit = 0; bit < checks; bit += 1) check += lit(2 + bits + bit) * 2 ** bit;
    let digits = 0;
    for (let rest = value; rest > 0; rest = Math.floor(rest / 16)) digits += rest % 16;
    if (digits % 16 !== check) return null;
    const wrap = 2 ** bits;
    const near = window.demo?.nearMs ?? Date.now(); // the blocks begin anew after 49 days
    return near + ((((value - near + wrap / 2) % wrap) + wrap) % wrap) - wrap / 2;
  }

  /** What a person can read: the rows that are rendered, in order. */
  function rows() {
    return [...chat.shadowRoot.querySelectorAll('[data-offset]')].map((row) => Number(row.dataset.offset));
  }

  /*
   * Whoever has seen all the media there is, is shown what is said (contract §1). That stays in the pane when media comes
   * again, until a seek, and is no message from after the picture.
   */
  function noteWhatIsDueAtTheEnd(shown) {
    if (shown.generation !== generation) {
      generation = shown.generation;
      dueAtTheEnd.clear();
    }
    if (shown.cutoffMs !== null) return;
    lastAtTheEndMs = performance.now();
    for (const message of shown.messages) dueAtTheEnd.add(message.offset);
  }
  let followed = null;
  function follow() {
    if (chat.session && chat.session !== followed) {
      followed = chat.session;
      followed.subscribe(() => noteWhatIsDueAtTheEnd(chat.shown)); // a wait may be shorter than the pause below
    }
    noteWhatIsDueAtTheEnd(chat.shown);
  }
  follow();
  setInterval(follow, 20); // no frames come while all media was seen
  chat.addEventListener('chatsync-message', ({ detail }) => {
    noteWhatIsDueAtTheEnd(chat.shown);
    // Told when it is drawn, and media may have come again since it was put there.
    if (performance.now() - lastAtTheEndMs < 500) dueAtTheEnd.add(detail.offset);
  });

  function sample() {
    const shown = chat.shown;
    noteWhatIsDueAtTheEnd(shown);
    return {
      wallMs: Date.now(),
      pictureMs: pictureMs(),
      cutoffMs: shown.cutoffMs,
      settled: shown.settled,
      offsets: shown.messages.map((message) => message.offset),
      programs: shown.messages.filter((message) => !dueAtTheEnd.has(message.offset)).map((message) => message.programMs),
      rows: rows(),
      seeking: video.seeking,
      currentS: video.currentTime,
      ownMs: window.demo?.own ? window.demo.own() : null, // what the player itself says
    };
  }

  async function frame() {
    await chat.updateComplete;
    const now = sample();
    samples.push(now);
    if (open && open.seekedMs !== null && now.settled && !now.seeking && now.pictureMs !== null) {
      const isRight = now.cutoffMs !== null && Math.abs(now.cutoffMs - now.pictureMs) <= 100;
      if (isRight) {
        open.rightMs = performance.now();
        seeks.push(open);
        open = null;
      }
    }
    video.requestVideoFrameCallback(frame);
  }

  video.addEventListener('seeked', () => {
    if (open && open.seekedMs === null) open.seekedMs = performance.now();
  });

  return {
    async start() {
      blocks = window.demo?.blocks ?? (await (await fetch('/demo/setup.json')).json()).blocks;
      video.requestVideoFrameCallback(frame);
    },
    take() {
      const taken = samples;
      samples = [];
      return taken;
    },
    sample,
    /**
     * Seek and wait until the pane is right; the times of it, or null after `withinMs`. A page that is busy for `busyMs` then gets
     * the first frame of the place sought before the event of its seek.
     */
    async seek(time, withinMs, busyMs = 0) {
      open = { from: video.currentTime, to: time, seekedMs: null, rightMs: null };
      const before = seeks.length;
      samples = [];
      video.currentTime = time;
      for (const untilMs = performance.now() + busyMs; performance.now() < untilMs; );
      const deadline = performance.now() + withinMs;
      while (seeks.length === before && performance.now() < deadline) await new Promise((go) => setTimeout(go, 5));
      if (seeks.length === before) return null;
      const done = seeks[seeks.length - 1];
      return { ...done, toPaneMs: Math.max(0, done.rightMs - done.seekedMs) };
    },
    isBuffered(time) {
      const ranges = video.buffered;
      for (let index = 0; index < ranges.length; index += 1) {
        if (ranges.start(index) <= time && time <= ranges.end(index)) return true;
      }
      return false;
    },
    seekable() {
      const ranges = video.seekable;
      return ranges.length === 0 ? null : [ranges.start(0), ranges.end(ranges.length - 1)];
    },
  };
})();
