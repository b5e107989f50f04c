// @vitest-environment happy-dom
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { HlsAdapter, type HlsLike } from '../src/adapters/hls.js';
import { RecordingAdapter } from '../src/adapters/recording.js';
import { T0 } from './builders.js';
import { FakeVideo } from './fake-video.js';

const fragment = (sn: number, start: number, programDateTime: number | null, more: object = {}) => ({ sn, start, duration: 2, programDateTime, ...more });

function hlsOf(fragments: ReturnType<typeof fragment>[], more: Partial<HlsLike> & { live?: boolean } = {}): HlsLike & { handlers: string[] } {
  const details = { fragments, live: more.live ?? true };
  const handlers: string[] = [];
  return {
    levels: [{ details }],
    currentLevel: 0,
    latestLevelDetails: details,
    liveSyncPosition: 4,
    handlers,
    on: (name: string) => void handlers.push(name),
    off: (name: string) => void handlers.splice(handlers.indexOf(name), 1),
    ...more,
  } as HlsLike & { handlers: string[] };
}

let video: FakeVideo;
const element = (): HTMLVideoElement => video.element;

beforeEach(() => {
  video = new FakeVideo();
});

describe('hls.js', () => {
  const plain = [fragment(10, 0, T0), fragment(11, 2, T0 + 2_000), fragment(12, 4, T0 + 60_000)];

  test.each([
    [0, T0, 10, 0],
    [1.5, T0 + 1_500, 10, 1_500],
    [2, T0 + 2_000, 11, 0],
    [3.999, T0 + 3_999, 11, 1_999],
    [4, T0 + 60_000, 12, 0], // across a jump of the encoder's clock
    [6.1, T0 + 62_100, 12, 2_100], // the last frames may lie past the declared end
  ])('the frame at %f s', (mediaTime, programMs, mediaSequence, intoMs) => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.present(mediaTime);
    const address = adapter.address()!;
    expect(Math.round(address.programTimeMs!)).toBe(programMs);
    expect(address.mediaSequence).toBe(mediaSequence);
    expect(Math.round(address.intoSegmentMs!)).toBe(intoMs);
  });

  test('the frame on screen decides, not the time that runs ahead of it', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.currentTime = 1.04;
    video.present(1);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 1_000);
  });

  test('outside all fragments, and before there are any, nothing is known', () => {
    video.currentTime = 9;
    expect(new HlsAdapter(hlsOf(plain), element()).address()).toBeNull();
    expect(new HlsAdapter(hlsOf([]), element()).address()).toBeNull();
  });

  test('a fragment without a date gives its media sequence and no program time', () => {
    video.currentTime = 1;
    const address = new HlsAdapter(hlsOf([fragment(5, 0, null)]), element()).address()!;
    expect(address.mediaSequence).toBe(5);
    expect(address.programTimeMs).toBeUndefined();
  });

  test('1970-01-01T00:00:00Z is a date', () => {
    expect(new HlsAdapter(hlsOf([fragment(5, 0, 0)]), element()).address()?.programTimeMs).toBe(0);
  });

  test('a date without a zone is UTC, wherever the viewer is', () => {
    const raw = '2026-01-01T12:00:00.000';
    const adapter = new HlsAdapter(hlsOf([fragment(1, 0, Date.parse(raw), { rawProgramDateTime: raw })]), element());
    expect(adapter.address()?.programTimeMs).toBe(Date.UTC(2026, 0, 1, 12));
  });

  test('a jump of program time is marked', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.present(3.9);
    expect(adapter.address()?.atJump).toBe(false);
    video.present(4);
    expect(adapter.address()?.atJump).toBe(true);
    video.present(4.04);
    expect(adapter.address()?.atJump).toBe(false);
  });

  /** At the third second, and half a second is asked for. */
  function sought(): { adapter: HlsAdapter; changes: string[] } {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    const changes: string[] = [];
    adapter.subscribe((change) => changes.push(change));
    video.present(3);
    video.seeking = true;
    video.currentTime = 0.5;
    return { adapter, changes };
  }

  test('seeking lasts from the event to the first frame of the place sought', () => {
    const { adapter, changes } = sought();
    video.fire('seeking');
    expect(adapter.media().seeking).toBe(true);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 500); // worth loading already
    video.present(3.04); // the old picture, once more
    video.seeking = false;
    video.fire('seeked');
    expect(adapter.media().seeking).toBe(true);
    video.present(0.48);
    expect(adapter.media().seeking).toBe(false);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 480);
    expect(changes).toEqual(['frame', 'seeking', 'seeked']);
  });

  test('a frame that comes before the event of its seek is one of the place sought', () => {
    const { adapter, changes } = sought();
    video.fire('timeupdate'); // of before, and late
    video.present(0.48);
    expect(adapter.media().seeking).toBe(true);
    video.fire('seeking');
    video.seeking = false;
    video.fire('seeked');
    expect(adapter.media().seeking).toBe(false);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 480); // though no other frame comes while the video is paused
    expect(changes).toEqual(['frame', 'seeking', 'seeked']);
  });

  test('a second seek while the first is under way is told, whichever event is late', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.present(3);
    video.seeking = true;
    video.currentTime = 2.5;
    video.present(2.48);
    video.currentTime = 0.5;
    video.fire('seeking');
    expect(adapter.address()?.programTimeMs).toBe(T0 + 500);
    video.present(2.52); // still of the first
    video.seeking = false;
    video.fire('seeked');
    expect(adapter.media().seeking).toBe(true);
    video.present(0.48);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 480);
  });

  test('another source in the same element is another place', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    const changes: string[] = [];
    adapter.subscribe((change) => changes.push(change));
    video.present(3);
    video.readyState = 0;
    video.fire('emptied');
    expect(adapter.address()).toBeNull();
    expect(adapter.media().seeking).toBe(false);
    expect(changes).toEqual(['frame', 'seeking']);
  });

  test('a seek that presents no frame ends after two repaints', async () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.currentTime = 1;
    video.fire('seeking');
    video.fire('seeked');
    await vi.waitFor(() => expect(adapter.media().seeking).toBe(false));
    expect(adapter.address()?.programTimeMs).toBe(T0 + 1_000);
    video.present(5); // on a busy machine the picture from before the seek may still come
    expect(adapter.address()?.programTimeMs).toBe(T0 + 1_000);
    video.present(0.98);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 980);
  });

  test('waiting counts as the end only at the edge', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    video.readyState = 2;
    video.currentTime = 2;
    expect(adapter.media().atEnd).toBe(false);
    video.currentTime = 5.8;
    expect(adapter.media().atEnd).toBe(true);
    video.readyState = 4;
    expect(adapter.media().atEnd).toBe(false);
    video.ended = true;
    expect(adapter.media().atEnd).toBe(true);
  });

  test('live is where hls.js says, and the end of the media once it has ended', () => {
    expect(new HlsAdapter(hlsOf(plain, { liveSyncPosition: 3 }), element()).livePointMs()).toBe(T0 + 3_000);
    expect(new HlsAdapter(hlsOf(plain, { live: false }), element()).livePointMs()).toBe(T0 + 62_000);
  });

  test('seeks to a program time inside the window only', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    expect(adapter.seekTo(T0 + 60_500)).toBe(true);
    expect(video.currentTime).toBe(4.5);
    expect(adapter.seekTo(T0 + 30_000)).toBe(false);
    expect(adapter.seekToLive()).toBe(true);
    expect(video.currentTime).toBe(4);
  });

  test('a fragment begins with its first picture, not with its sound', () => {
    const later = { elementaryStreams: { video: { startPTS: 4.04 }, audio: { startPTS: 4 } } };
    const adapter = new HlsAdapter(hlsOf([...plain.slice(0, 2), fragment(12, 4, T0 + 60_000, later)]), element());
    video.present(4.01); // the last picture before the jump
    expect(Math.round(adapter.address()!.programTimeMs!)).toBe(T0 + 4_010);
    video.present(4.04);
    expect(Math.round(adapter.address()!.programTimeMs!)).toBe(T0 + 60_000);
    expect(adapter.address()?.mediaSequence).toBe(12);
  });

  test('with parts, a fragment joined in its middle begins where it is listed', () => {
    const joined = { elementaryStreams: { video: { startPTS: 4.8 } } };
    const hls = hlsOf([...plain.slice(0, 2), fragment(12, 4, T0 + 4_000, joined)]);
    Object.assign(hls.levels[0]!.details!, { partTarget: 0.4 });
    const adapter = new HlsAdapter(hls, element());
    video.present(4.9);
    expect(Math.round(adapter.address()!.programTimeMs!)).toBe(T0 + 4_900);
  });

  test('an encoder that begins anew is told once, and nothing is known until the stream is opened again', async () => {
    const onRestart = vi.fn();
    const hls = hlsOf(plain);
    const adapter = new HlsAdapter(hls, element(), { onRestart });
    video.present(1);
    expect(adapter.address()).not.toBeNull();
    const list = (fragments: ReturnType<typeof fragment>[]) => Object.assign(hls, { latestLevelDetails: { fragments, live: true } });
    list(plain.slice(0, 2)); // an old copy out of a cache
    expect(adapter.address()).not.toBeNull();
    list([fragment(0, 0, T0 + 90_000), fragment(1, 2, T0 + 92_000)]);
    expect(adapter.address()).toBeNull();
    list([fragment(0, 0, T0 + 90_000), fragment(1, 2, T0 + 92_000), fragment(2, 4, T0 + 94_000)]);
    expect(adapter.address()).toBeNull();
    await Promise.resolve();
    expect(onRestart).toHaveBeenCalledTimes(1);
  });

  test('renditions that count differently are no restart', async () => {
    const onRestart = vi.fn();
    const hls = hlsOf(plain);
    Object.assign(hls.levels[0]!.details!, { url: 'high.m3u8?token=1' });
    const adapter = new HlsAdapter(hls, element(), { onRestart });
    adapter.address();
    Object.assign(hls, { latestLevelDetails: { fragments: [fragment(3, 0, T0 + 70_000)], live: true, url: 'low.m3u8' } });
    adapter.address();
    await Promise.resolve();
    expect(onRestart).not.toHaveBeenCalled();
  });

  test('lets go of the player', () => {
    const hls = hlsOf(plain);
    const adapter = new HlsAdapter(hls, element());
    expect(hls.handlers.length).toBe(3);
    adapter.destroy();
    expect(hls.handlers).toEqual([]);
  });

  test('in the background, where no frames are presented, time updates stand in', () => {
    const adapter = new HlsAdapter(hlsOf(plain), element());
    let frames = 0;
    adapter.subscribe((change) => (frames += change === 'frame' ? 1 : 0));
    video.present(1);
    video.currentTime = 1.1;
    video.fire('timeupdate');
    expect(frames).toBe(1);
    video.currentTime = 3;
    video.fire('timeupdate');
    expect(frames).toBe(2);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 3_000);
  });
});

describe('recordings', () => {
  const spans = [
    { position_ms: 10_000, duration_ms: 5_000, broadcast: 2, program_ms: T0 + 60_000 },
    { position_ms: 0, duration_ms: 5_000, broadcast: 2, program_ms: T0 },
  ];

  test('maps positions by spans, in whatever order they come', () => {
    const adapter = new RecordingAdapter(element(), spans);
    video.present(11.25);
    expect(adapter.address()).toMatchObject({ programTimeMs: T0 + 61_250, broadcast: 2, live: false, ad: false });
    video.present(7);
    expect(adapter.address()).toMatchObject({ ad: true });
  });

  test('knows nothing until it has spans', () => {
    const adapter = new RecordingAdapter(element());
    video.present(1);
    expect(adapter.address()).toBeNull();
    adapter.setSpans(spans);
    expect(adapter.address()?.programTimeMs).toBe(T0 + 1_000);
  });

  test('seeks to the position of a program time, not into what was cut', () => {
    const adapter = new RecordingAdapter(element(), spans);
    expect(adapter.seekTo(T0 + 62_000)).toBe(true);
    expect(video.currentTime).toBe(12);
    expect(adapter.seekTo(T0 + 30_000)).toBe(false);
  });
});
