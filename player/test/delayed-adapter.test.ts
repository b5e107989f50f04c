import { expect, test } from 'vitest';
import { delayed } from '../src/delayed-adapter.js';
import { T0 } from './builders.js';
import { FakePlayer } from './fake-player.js';

test('without a delay it is the player itself', () => {
  const player = new FakePlayer();
  expect(delayed(player, 0)).toBe(player);
});

test('program time is moved one way, and places sought the other; how far behind live one is stays', () => {
  const player = new FakePlayer();
  [player.programMs, player.mediaSequence, player.liveMs] = [T0 + 60_000, 7, T0 + 70_000];
  const adapter = delayed(player, 5_000);
  expect(adapter.address()).toMatchObject({ programTimeMs: T0 + 55_000 });
  expect(adapter.address()).not.toHaveProperty('mediaSequence');
  expect(adapter.livePointMs()! - adapter.address()!.programTimeMs!).toBe(10_000);
  adapter.seekTo(T0 + 20_000);
  expect(player.sought).toEqual([T0 + 25_000]);
});

test('what is not known stays not known', () => {
  expect(delayed(new FakePlayer(), 5_000).address()).toBeNull();
});
