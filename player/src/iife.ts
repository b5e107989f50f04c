/**
 * One script tag: the chat is registered, the rest hangs on the global `ChatsyncPlayer`.
 *
 * It holds what nearly every page needs, and is kept small (tests/test_player_script.py). What only some do is in
 * iife-more.ts, which adds to the same global and takes what they share from it.
 */

import { ChatsyncChat } from './chat-element.js';
import { register } from './register.js';

register({ 'chatsync-chat': ChatsyncChat });

export { ChatsyncChat };
export { HlsAdapter, hlsAdapter } from './adapters/hls.js';
export { RecordingAdapter, recordingAdapter } from './adapters/recording.js';
export { ChatTimeline } from './chat-timeline.js';
export { ReadError } from './connection.js';
export { RefusedError } from './deeds.js';
export { playheadFrom } from './playhead.js';
export { addLanguage, clockText, timeOfDayText } from './strings.js';
/** Not for pages: what iife-more.ts is built against. */
export * as lit from './lit.js';
