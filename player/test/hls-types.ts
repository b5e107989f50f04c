// Compiled by `npm run check`, never run: a real Hls instance must be what `hlsAdapter` takes.
import type Hls from 'hls.js';
import { hlsAdapter } from '../src/adapters/hls.js';

export const adapt = (hls: Hls, video: HTMLVideoElement): unknown => hlsAdapter(hls, video);
