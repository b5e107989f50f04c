/**
 * A Video.js plugin: `player.chatsync({ … })` puts a chat beside a Video.js 8 player, or only the timeline of one.
 *
 * Owns: what the plugin makes and ends with the player. Does not know: how Video.js is followed (its adapter does), what is
 * drawn. Imports nothing of Video.js: yours is handed in, so that there are never two of them.
 */

import { recordingAdapter } from './adapters/recording.js';
import { videojsAdapter, type VideoJsLike } from './adapters/videojs.js';
import { ChatTimeline, type ChatTimelineOptions } from './chat-timeline.js';
import type { PlayheadAdapter } from './playhead.js';

/** The part of a Video.js player that is used. */
export type VideoJsPlayer = VideoJsLike;

/** Video.js itself, as it is imported or hangs on the page. */
export interface VideoJs {
  registerPlugin(name: string, plugin: (this: VideoJsPlayer, options?: ChatsyncPluginOptions) => unknown): unknown;
}

export interface ChatsyncPluginOptions extends Partial<ChatTimelineOptions> {
  /** A `<chatsync-chat>`, or a selector of one: it follows this player from now on. Without one a timeline is made. */
  readonly chat?: Element | string;
  /** A timeline of your own, already made: it follows this player from now on. */
  readonly timeline?: ChatTimeline;
}

export interface ChatsyncPlugin {
  readonly adapter: PlayheadAdapter;
  /** Null where an element was given: it has its own. */
  readonly timeline: ChatTimeline | null;
  /** Follow the player no more. Called when the player is disposed of. */
  dispose(): void;
}

/** Register the plugin with your Video.js: `registerChatsync(videojs)`. */
export function registerChatsync(videojs: VideoJs, adapterOf: typeof adapterFor = adapterFor): void {
  videojs.registerPlugin('chatsync', function (options = {}) {
    return chatsyncPlugin(this, options, adapterOf(this, options));
  });
}

/** What `player.chatsync(options)` does. @throws TypeError when the chat is not there, or neither it nor a room is named. */
export function chatsyncPlugin(player: VideoJsPlayer, options: ChatsyncPluginOptions, adapter: PlayheadAdapter): ChatsyncPlugin {
  const follows = followerOf(options);
  follows.attach(adapter);
  let isOver = false;
  const plugin: ChatsyncPlugin = {
    adapter,
    timeline: follows.timeline,
    dispose() {
      if (isOver) return;
      isOver = true;
      follows.end();
      adapter.destroy();
    },
  };
  (player as { on(event: string, listener: () => void): unknown }).on('dispose', () => plugin.dispose());
  return plugin;
}

interface Follower {
  readonly timeline: ChatTimeline | null;
  attach(adapter: PlayheadAdapter | null): void;
  end(): void;
}

function followerOf(options: ChatsyncPluginOptions): Follower {
  const { chat, timeline, ...rest } = options;
  if (chat !== undefined) {
    const element = (typeof chat === 'string' ? document.querySelector(chat) : chat) as (Element & { adapter: PlayheadAdapter | null }) | null;
    if (element === null) throw new TypeError(`chatsync: there is no ${String(chat)} on the page`);
    const attach = (adapter: PlayheadAdapter | null): void => void (element.adapter = adapter);
    return { timeline: null, attach, end: () => attach(null) };
  }
  if (timeline !== undefined) return { timeline, attach: (adapter) => timeline.attach(adapter), end: () => timeline.attach(null) };
  const { room, server } = rest;
  if (room === undefined) throw new TypeError('chatsync: name a chat, a timeline or a room');
  const made = new ChatTimeline({ ...rest, room, server: server ?? location.origin });
  made.start();
  return { timeline: made, attach: (adapter) => made.attach(adapter), end: () => made.stop() };
}

/** A recording is followed by its own map, whatever file it is played from; all else by the dates of its segments. */
function adapterFor(player: VideoJsPlayer, { chat, recording }: ChatsyncPluginOptions): PlayheadAdapter {
  const element = typeof chat === 'string' ? document.querySelector(chat) : chat;
  const media = player.el()?.querySelector('video, audio');
  const isRecording = recording != null || element?.getAttribute('recording') != null;
  return isRecording && media instanceof HTMLMediaElement ? recordingAdapter(media as HTMLVideoElement) : videojsAdapter(player, { onRestart: () => openAgain(player) });
}

/** VHS stops for good when an encoder counts anew. */
function openAgain(player: VideoJsPlayer): void {
  const full = player as VideoJsPlayer & { src(source: object): void; currentSource(): object; play(): unknown };
  full.src(full.currentSource());
  void full.play();
}
