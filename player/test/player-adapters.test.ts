// @vitest-environment happy-dom
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { HlsElementAdapter } from '../src/adapters/hls-element.js';
import { NativeAdapter } from '../src/adapters/native.js';
import { ShakaAdapter, type ShakaLike } from '../src/adapters/shaka.js';
import { VideoJsAdapter, type VideoJsLike } from '../src/adapters/videojs.js';
import { T0 } from './builders.js';
import { FakeVideo, ranges } from './fake-video.js';

let video: FakeVideo;

beforeEach(() => {
  video = new FakeVideo();
});

describe('Video.js with VHS', () => {
  const segment = (start: number | null, programDateTime: number | null, more: object = {}) => ({
    duration: 2,
    ...(start === null ? {} : { start, end: start + 2 }),
    ...(programDateTime === null ? {} : { programDateTime }),
    ...more,
  });

  /** Segments on the element's axis, the first of them number 10. */
  function playerOf(segments: object[], more: object = {}): VideoJsLike & { handlers: unknown[]; media: object } {
    const handlers: unknown[] = [];
    const player = {
      handlers,
      media: { segments, mediaSequence: 10, endList: false, resolvedUri: 'v.m3u8', ...more },
      el: () => ({ querySelector: () => video }) as unknown as Element,
      tech: () => ({ vhs: { playlists: { media: () => player.media } } }),
      seekable: () => ranges([0, 4]),
      currentTime: (seconds: number) => (video.currentTime = seconds),
      on: (_: unknown, listener: unknown) => void handlers.push(listener),
      off: (_: unknown, listener: unknown) => void handlers.splice(handlers.indexOf(listener), 1),
    };
    return player;
  }

  const plain = [segment(0, T0), segment(2, T0 + 2_000), segment(4, T0 + 60_000)];

  test.each([
    [0, T0, 10],
    [3.999, T0 + 3_999, 11],
    [4, T0 + 60_000, 12], // across a jump of the encoder's clock
    [6.1, T0 + 62_100, 12], // the last frames may lie past the declared end
  ])('the frame at %f s', (mediaTime, programMs, mediaSequence) => {
    const adapter = new VideoJsAdapter(playerOf(plain));
    video.present(mediaTime);
    const address = adapter.address()!;
    expect(Math.round(address.programTimeMs!)).toBe(programMs);
    expect(address).toMatchObject({ mediaSequence, live: true, ad: false });
  });

  test('a segment that VHS has not placed yet is not known, except as the place being sought', () => {
    const adapter = new VideoJsAdapter(playerOf([segment(null, T0), segment(null, T0 + 2_000), segment(4, T0 + 4_000)]));
    video.present(1);
    expect(adapter.address()).toBeNull();
    video.seeking = true;
    video.currentTime = 1;
    video.fire('seeking');
    expect(adapter.address()).toMatchObject({ programTimeMs: T0 + 1_000, mediaSequence: 10 });
  });

  test('a segment that was placed anew further on lies before its end', () => {
    const adapter = new VideoJsAdapter(playerOf([segment(0, T0, { start: 0, end: 7 })]));
    video.present(5.5);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 500);
  });

  test('parts say where their segment begins, also if it was joined in its middle', () => {
    const parts = [{ duration: 0.5 }, { duration: 0.5, start: 0.5 }, { duration: 0.5, start: 1 }];
    const adapter = new VideoJsAdapter(playerOf([segment(0.5, T0, { end: 1.5, parts, preload: true })]));
    video.present(1.25);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 1_250);
  });

  test('a segment at the edge without a date counts on from the one before', () => {
    const adapter = new VideoJsAdapter(playerOf([segment(0, T0), segment(2, null)]));
    video.present(3);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 3_000);
    const after = new VideoJsAdapter(playerOf([segment(0, T0), segment(2, null, { discontinuity: true })]));
    video.present(3);
    expect(after.address()?.programTimeMs).toBeUndefined();
  });

  test('a date without a zone is UTC, wherever the viewer is', () => {
    const raw = '2026-01-01T12:00:00.000';
    const adapter = new VideoJsAdapter(playerOf([segment(0, Date.parse(raw), { dateTimeString: raw })]));
    video.present(0);
    expect(adapter.address()?.programTimeMs).toBe(Date.UTC(2026, 0, 1, 12));
  });

  test('live is the end of what may be sought', () => {
    const adapter = new VideoJsAdapter(playerOf(plain));
    expect(adapter.livePointMs()).toBe(T0 + 60_000);
    expect(adapter.seekableRange()).toEqual({ startMs: T0, endMs: T0 + 60_000 });
    expect(adapter.seekToLive()).toBe(true);
    expect(video.currentTime).toBe(4);
  });

  test('seeks to a program time inside the window only', () => {
    const adapter = new VideoJsAdapter(playerOf(plain));
    expect(adapter.seekTo(T0 + 60_500)).toBe(true);
    expect(video.currentTime).toBe(4.5);
    expect(adapter.seekTo(T0 + 30_000)).toBe(false);
  });

  test('before there is a playlist nothing is known', () => {
    const player = { ...playerOf([]), tech: () => ({}) };
    const adapter = new VideoJsAdapter(player);
    video.present(1);
    expect(adapter.address()).toBeNull();
    expect(adapter.livePointMs()).toBeNull();
  });

  test('an encoder that begins anew is told, and a new source is followed', async () => {
    const onRestart = vi.fn();
    const player = playerOf(plain);
    const adapter = new VideoJsAdapter(player, { onRestart });
    video.present(1);
    expect(adapter.address()).not.toBeNull();
    player.media = { segments: [segment(null, T0 + 90_000)], mediaSequence: 0, endList: false, resolvedUri: 'v.m3u8' };
    expect(adapter.address()).toBeNull();
    await Promise.resolve();
    expect(onRestart).toHaveBeenCalledTimes(1);
    player.media = { segments: [segment(0, T0 + 90_000)], mediaSequence: 0, endList: false, resolvedUri: 'v.m3u8' };
    for (const listener of player.handlers) (listener as () => void)(); // `loadstart` among them
    expect(adapter.address()?.programTimeMs).toBe(T0 + 91_000);
  });

  test('a player without an element, and letting go', () => {
    const player = playerOf(plain);
    expect(() => new VideoJsAdapter({ ...player, el: () => null })).toThrow(TypeError);
    new VideoJsAdapter(player).destroy();
    expect(player.handlers).toEqual([]);
  });
});

describe('Shaka', () => {
  const JUMP_S = 4;

  /** Six seconds in segments of two; program time jumps by a minute after four. */
  function playerOf(timeline: object, more: object = {}): ShakaLike & { handlers: string[]; fire(name: string): void } {
    const handlers: string[] = [];
    const listeners = new Map<string, () => void>();
    const index = {
      find: (timeS: number) => (timeS >= 0 && timeS < 6 ? Math.floor(timeS / 2) : null),
      get: (position: number) => ({ getStartTime: () => position * 2, getEndTime: () => position * 2 + 2 }),
    };
    const player = {
      handlers,
      getManifest: () => ({ presentationTimeline: timeline, variants: [{ id: 7, video: { segmentIndex: index } }] }),
      getMediaElement: () => video.element,
      getVariantTracks: () => [{ active: true, id: 7 }],
      isLive: () => true,
      seekRange: () => ({ start: 0, end: 5 }),
      addEventListener: (name: string, listener: () => void) => void (handlers.push(name), listeners.set(name, listener)),
      fire: (name: string) => listeners.get(name)?.(),
      removeEventListener: (name: string) => void handlers.splice(handlers.indexOf(name), 1),
      ...more,
    };
    return player;
  }

  const jumping = { getProgramDateTimeForTime: (timeS: number) => T0 / 1000 + timeS + (timeS >= JUMP_S ? 60 : 0) };

  test.each([
    [0, T0],
    [3.99, T0 + 3_990],
    [4, T0 + 64_000],
    [3.9999, T0 + 64_000], // a rounding before it
  ])('the frame at %f s', (mediaTime, programMs) => {
    const adapter = new ShakaAdapter(playerOf(jumping));
    video.present(mediaTime);
    expect(Math.round(adapter.address()!.programTimeMs!)).toBe(programMs);
    expect(adapter.address()).toMatchObject({ live: true, ad: false });
  });

  test.each([[{ getProgramDateTimeForTime: () => null }], [{}]])('without dates, or from a version that does not tell them, no program time', (timeline) => {
    const adapter = new ShakaAdapter(playerOf(timeline));
    video.present(1);
    expect(adapter.address()?.programTimeMs).toBeUndefined();
    expect(adapter.livePointMs()).toBeNull();
  });

  test('before a manifest nothing is known', () => {
    const adapter = new ShakaAdapter(playerOf(jumping, { getManifest: () => null }));
    video.present(1);
    expect(adapter.address()).toBeNull();
    expect(adapter.seekTo(T0)).toBe(false);
    expect(adapter.seekToLive()).toBe(false);
  });

  test('seeks on both sides of a jump, not into it', () => {
    const adapter = new ShakaAdapter(playerOf(jumping));
    expect(adapter.seekTo(T0 + 1_500)).toBe(true);
    expect(video.currentTime).toBeCloseTo(1.5, 2);
    expect(adapter.seekTo(T0 + 64_500)).toBe(true);
    expect(video.currentTime).toBeCloseTo(4.5, 2);
    expect(adapter.seekTo(T0 + 30_000)).toBe(false);
    expect(adapter.livePointMs()).toBe(T0 + 65_000);
  });

  test('waiting counts as the end only where no segment follows', () => {
    const adapter = new ShakaAdapter(playerOf(jumping));
    video.readyState = 2;
    video.currentTime = 3;
    expect(adapter.media().atEnd).toBe(false);
    video.currentTime = 5.8;
    expect(adapter.media().atEnd).toBe(true);
    video.currentTime = -2; // before the window
    expect(adapter.media().atEnd).toBe(false);
  });

  test('live is where the media ends, less what is held back, though an encoder that stands still lets the clock run on', () => {
    const timeline = { ...jumping, getMaxSegmentEndTime: () => 6, getDelay: () => 2 };
    const adapter = new ShakaAdapter(playerOf(timeline, { seekRange: () => ({ start: 0, end: 9 }) }));
    expect(adapter.livePointMs()).toBe(T0 + 64_000);
    expect(adapter.seekToLive()).toBe(true);
    expect(video.currentTime).toBe(4);
    video.readyState = 2;
    video.currentTime = 5.8;
    expect(adapter.media().atEnd).toBe(true);
  });

  test('an encoder that counts anew is told once, and nothing is known until the stream is loaded again', async () => {
    const filters = new Set<(type: number, response: object) => void>();
    const network = { registerResponseFilter: filters.add.bind(filters), unregisterResponseFilter: filters.delete.bind(filters) };
    const player = playerOf(jumping, { getNetworkingEngine: () => network });
    let restarts = 0;
    const adapter = new ShakaAdapter(player, video.element, { onRestart: () => (restarts += 1) });
    const answer = (text: string, type = 0): void => filters.forEach((filter) => filter(type, { originalUri: 'https://a/live.m3u8?_HLS_msn=9', data: new TextEncoder().encode(text).buffer }));
    const list = (first: number, dateMs: number, more = ''): string =>
      `#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:${first}\n${more}#EXTINF:2,\na.ts\n#EXT-X-PROGRAM-DATE-TIME:${new Date(dateMs).toISOString()}\n#EXTINF:2,\nb.ts\n`;
    video.present(1);
    answer(list(7, T0));
    answer(list(6, T0 - 2_000)); // an old copy of a cache
    answer(list(3, T0 + 2_000, '#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n')); // a delta
    answer('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlive.m3u8\n');
    answer('<MPD/>');
    answer(list(0, T0 + 9_000), 1); // no playlist
    await Promise.resolve();
    expect([restarts, adapter.address() === null]).toEqual([0, false]);
    answer(list(0, T0 + 9_000));
    answer(list(1, T0 + 11_000));
    await Promise.resolve();
    expect([restarts, adapter.address()]).toEqual([1, null]);
    player.fire('loading');
    expect(adapter.address()).not.toBeNull();
    adapter.destroy();
    expect(filters.size).toBe(0);
  });

  test('with low latency a segment stands at the date that its playlist gives it, for Shaka begins no region there', () => {
    const filters = new Set<(type: number, response: object) => void>();
    const network = { registerResponseFilter: filters.add.bind(filters), unregisterResponseFilter: filters.delete.bind(filters) };
    const segment = (position: number) => ({
      getStartTime: () => position * 2,
      getEndTime: () => position * 2 + 2,
      getUris: () => (position < 2 ? [`https://a/live/${position}.m4s`] : []), // the last one grows
    });
    const index = { find: (timeS: number) => (timeS >= 0 && timeS < 5.2 ? Math.floor(timeS / 2) : null), get: segment };
    const missed = { getProgramDateTimeForTime: (timeS: number) => T0 / 1000 + timeS };
    const player = playerOf(missed, { getNetworkingEngine: () => network, getManifest: () => ({ presentationTimeline: missed, variants: [{ id: 7, video: { segmentIndex: index } }] }) });
    const adapter = new ShakaAdapter(player);
    const dated = (ms: number): string => `#EXT-X-PROGRAM-DATE-TIME:${new Date(ms).toISOString()}\n`;
    const text = (more: string): string =>
      `#EXTM3U\n${more}${dated(T0)}#EXTINF:2,\n0.m4s\n#EXT-X-DISCONTINUITY\n${dated(T0 + 62_000)}#EXT-X-PART:DURATION=2,URI="1a.m4s"\n#EXTINF:2,\n1.m4s\n#EXT-X-PART:DURATION=1.2,URI="2a.m4s"\n`;
    const answer = (more: string): void => filters.forEach((filter) => filter(0, { uri: 'https://a/live/low.m3u8', data: new TextEncoder().encode(text(more)).buffer }));
    const at = (timeS: number): number => {
      video.present(timeS);
      return Math.round(adapter.address()!.programTimeMs! - T0);
    };
    answer('#EXT-X-BYTERANGE:5\n'); // one file for many: its address says nothing
    expect(at(3)).toBe(3_000);
    answer('');
    expect([at(1), at(3), at(4.5), at(5.3)]).toEqual([1_000, 63_000, 64_500, 65_300]);
    player.fire('loading');
    expect(at(3)).toBe(3_000);
  });

  test('the manifest is asked for once a stream, for Shaka warns at every call', () => {
    const player = playerOf(jumping);
    const asked = vi.spyOn(player, 'getManifest');
    const adapter = new ShakaAdapter(player);
    for (const timeS of [0, 0.04, 0.08]) {
      video.present(timeS);
      adapter.address();
    }
    expect(asked).toHaveBeenCalledTimes(1);
    player.fire('loading');
    adapter.address();
    expect(asked).toHaveBeenCalledTimes(2);
  });

  test('a player that is not attached, and letting go', () => {
    expect(() => new ShakaAdapter(playerOf(jumping, { getMediaElement: () => null }))).toThrow(TypeError);
    const player = playerOf(jumping);
    const adapter = new ShakaAdapter(player, video.element);
    expect(player.handlers.length).toBeGreaterThan(0);
    adapter.destroy();
    expect(player.handlers).toEqual([]);
  });
});

describe('an element that exposes its hls.js', () => {
  function hlsAt(programMs: number) {
    const details = { fragments: [{ sn: 1, start: 0, duration: 2, programDateTime: programMs }], live: true };
    return { levels: [{ details }], currentLevel: 0, latestLevelDetails: details, liveSyncPosition: 1, on: vi.fn(), off: vi.fn() };
  }

  function elementWith(fields: object): HTMLElement {
    const element = document.createElement('div');
    element.attachShadow({ mode: 'open' }).append(document.createElement('video'));
    return Object.assign(element, fields);
  }

  const playing = (element: HTMLElement): HTMLVideoElement => {
    const inner = element.shadowRoot!.querySelector('video')!;
    Object.defineProperties(inner, { readyState: { value: 4 }, currentTime: { value: 1, writable: true } });
    return inner;
  };

  test.each([['api'], ['hls'], ['engine'], ['_hls']])('by %s', (name) => {
    const element = elementWith({ [name]: hlsAt(T0) });
    playing(element);
    expect(new HlsElementAdapter(element).address()).toMatchObject({ programTimeMs: T0 + 1_000, mediaSequence: 1 });
  });

  test('by an engine that wraps it', () => {
    const element = elementWith({ engine: { hls: hlsAt(T0) } });
    playing(element);
    expect(new HlsElementAdapter(element).address()?.programTimeMs).toBe(T0 + 1_000);
  });

  test('the instance of a new source is followed, the old one let go', () => {
    const first = hlsAt(T0);
    const element = elementWith({ api: first }) as HTMLElement & { api: unknown };
    playing(element);
    const adapter = new HlsElementAdapter(element);
    const changes: string[] = [];
    adapter.subscribe((change) => changes.push(change));
    element.api = hlsAt(T0 + 500_000);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 501_000);
    expect(first.off).toHaveBeenCalled();
    expect(changes).toEqual(['timeline']);
  });

  test('without an instance nothing is known, and it is found when it comes', () => {
    const element = elementWith({ api: null }) as HTMLElement & { api: unknown };
    const inner = playing(element);
    const adapter = new HlsElementAdapter(element);
    expect(adapter.address()).toBeNull();
    expect(adapter.media()).toEqual({ paused: true, rate: 1, seeking: false, atEnd: false });
    expect([adapter.seekToLive(), adapter.seekTo(T0), adapter.livePointMs()]).toEqual([false, false, null]);
    const changes: string[] = [];
    adapter.subscribe((change) => changes.push(change));
    element.api = hlsAt(T0);
    element.dispatchEvent(new Event('loadstart'));
    expect(changes).toEqual(['timeline']);
    inner.dispatchEvent(new Event('seeking'));
    expect(changes).toEqual(['timeline', 'seeking']);
    adapter.destroy();
    expect(adapter.address()).toBeNull();
  });
});

describe('native', () => {
  const dated = (start: Date | null | undefined): HTMLVideoElement =>
    Object.assign(video, { seekable: ranges([10, 100]) }, start === undefined ? {} : { getStartDate: () => start }).element;

  test('counts from the start date of the browser', () => {
    const adapter = new NativeAdapter(dated(new Date(T0)));
    video.present(12.5);
    expect(adapter.address()).toMatchObject({ programTimeMs: T0 + 12_500, positionMs: 12_500, live: true, ad: false });
    expect(adapter.seekableRange()).toEqual({ startMs: T0 + 10_000, endMs: T0 + 100_000 });
    expect(adapter.livePointMs()).toBe(T0 + 100_000);
  });

  test.each([[new Date(NaN)], [null], [undefined]])('without one nothing is known', (start) => {
    const adapter = new NativeAdapter(dated(start));
    video.present(12.5);
    expect(adapter.address()).toBeNull();
    expect([adapter.livePointMs(), adapter.seekableRange(), adapter.seekTo(T0 + 20_000)]).toEqual([null, null, false]);
  });

  test('a start date that changes is a jump', () => {
    let start = new Date(T0);
    const adapter = new NativeAdapter(Object.assign(video, { getStartDate: () => start }).element);
    video.present(12);
    expect(adapter.address()?.atJump).toBe(false);
    start = new Date(T0 + 60_000);
    video.present(12.04);
    expect(adapter.address()).toMatchObject({ programTimeMs: T0 + 72_040, atJump: true });
  });

  test('seeks inside what may be sought only', () => {
    const adapter = new NativeAdapter(dated(new Date(T0)));
    expect(adapter.seekTo(T0 + 50_000)).toBe(true);
    expect(video.currentTime).toBe(50);
    expect(adapter.seekTo(T0 + 5_000)).toBe(false);
    expect(adapter.seekToLive()).toBe(true);
    expect(video.currentTime).toBe(100);
  });

  test('a recording is not live', () => {
    const adapter = new NativeAdapter(dated(new Date(T0)));
    video.duration = 100;
    video.present(12);
    expect(adapter.address()?.live).toBe(false);
    adapter.destroy();
  });
});
