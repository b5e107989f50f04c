// Compiled by `npm run check`, never run: real players must be what the adapters take.
import type Hls from 'hls.js';
import type shaka from 'shaka-player';
import type videojs from 'video.js';
import { hlsAdapter } from '../src/adapters/hls.js';
import { shakaAdapter } from '../src/adapters/shaka.js';
import { videojsAdapter } from '../src/adapters/videojs.js';

export const adapt = (hls: Hls, video: HTMLVideoElement): unknown => hlsAdapter(hls, video);
export const adaptShaka = (player: shaka.Player): unknown => shakaAdapter(player);
export const adaptVideoJs = (player: ReturnType<typeof videojs>): unknown => videojsAdapter(player);
