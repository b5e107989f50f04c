/** chatsync-player: the element's class, the headless core and the adapters. Importing it registers nothing. */

export type { AdapterOptions } from './adapters/fragments.js';
export { HlsAdapter, hlsAdapter, type HlsLike } from './adapters/hls.js';
export { HlsElementAdapter, hlsElementAdapter } from './adapters/hls-element.js';
export { NativeAdapter, nativeAdapter } from './adapters/native.js';
export { RecordingAdapter, recordingAdapter } from './adapters/recording.js';
export { ShakaAdapter, shakaAdapter, type ShakaLike } from './adapters/shaka.js';
export { VideoJsAdapter, videojsAdapter, type VideoJsLike } from './adapters/videojs.js';
export { ChatsyncChat, type SeekRequest, type Shown } from './chat-element.js';
export { ChatTimeline, type ChatSnapshot, type ChatTimelineOptions } from './chat-timeline.js';
export { ReadError } from './connection.js';
export { RefusedError, type Deed, type DeedFields } from './deeds.js';
export { FindingReader, type Activity, type ActivityGap, type ActivityPeak, type FindingOptions, type FoundMoment, type SearchHit, type SearchPage } from './finding.js';
export { ChatsyncHeatmap, type HeatmapSeek } from './heatmap-element.js';
export type { OwnMessage } from './own-messages.js';
export { playheadFrom, type AdapterChange, type MediaState, type Moment, type Playhead, type PlayheadAdapter, type PlayheadAddress } from './playhead.js';
export type { Author, ChatEvent, Fragment, Position, WireSpan } from './protocol.js';
export type { Reaction } from './reaction-feed.js';
export type { Basis, SyncMode } from './replay.js';
export type { Hand, Mode, OpenQuestion, Pin, Poll, RoomState } from './room-state.js';
export { ChatsyncSearch } from './search-element.js';
export { addLanguage, type Strings } from './strings.js';
export { arabic } from './strings-ar.js';
export type { Audience } from './shown-state.js';
