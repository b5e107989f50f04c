/**
 * A second script tag, after the first: what a page may have besides the chat. It adds to the global `ChatsyncPlayer`.
 *
 * Elements are registered here as in iife.ts, by `register`. What is imported from modules of the first script is taken
 * from there, and not built in again (vite.config.ts).
 */

import { ChatsyncHeatmap } from './heatmap-element.js';
import { register } from './register.js';
import { ChatsyncSearch } from './search-element.js';
import { arabic } from './strings-ar.js';
import { addLanguage } from './strings.js';

register({ 'chatsync-heatmap': ChatsyncHeatmap, 'chatsync-search': ChatsyncSearch });
addLanguage('ar', arabic);

export { HlsElementAdapter, hlsElementAdapter } from './adapters/hls-element.js';
export { NativeAdapter, nativeAdapter } from './adapters/native.js';
export { ShakaAdapter, shakaAdapter } from './adapters/shaka.js';
export { VideoJsAdapter, videojsAdapter } from './adapters/videojs.js';
export { chatsyncPlugin, registerChatsync } from './videojs.js';
export { findingStringsFor } from './finding-strings.js';
export { compared, FindingReader } from './finding.js';
export { ChatsyncHeatmap, ChatsyncSearch };
