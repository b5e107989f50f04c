/** chatsync-player: the element's class, the headless core and the adapters. Importing it registers nothing. */

export { HlsAdapter, hlsAdapter, type HlsLike } from './adapters/hls.js';
export { RecordingAdapter, recordingAdapter } from './adapters/recording.js';
export { ChatsyncChat, type SeekRequest, type Shown } from './chat-element.js';
export type { OwnMessage } from './own-messages.js';
export { playheadFrom, type AdapterChange, type MediaState, type Playhead, type PlayheadAdapter, type PlayheadAddress } from './playhead.js';
export type { Author, ChatEvent, Fragment, Position, WireSpan } from './protocol.js';
export { ChatTimeline, type SyncMode } from './replay.js';
export { RoomCache } from './room-cache.js';
export { ChatSession, type SessionOptions } from './session.js';
export { SliceCache, type Wanted } from './slice-cache.js';
