import { describe, expect, test } from 'vitest';
import type { WireEvent } from '../src/protocol.js';
import { RoomCache } from '../src/room-cache.js';
import { counted, countsFromWire, EMPTY_STATE, folded, stateFromWire, talliesChanged, talliesFromWire, type RoomState } from '../src/room-state.js';
import { at, AUTHORS, chatEvent, ModelRoom, randomOf, T0 } from './builders.js';
import { VisibleRows } from '../src/replay.js';
import { ShownState } from '../src/shown-state.js';

const POLL = { kind: 'poll_opened', poll: 'p1', question: 'Is it continuous?', choices: ['yes', 'no'], multiple: false };

const fold = (...events: [number, Partial<WireEvent>][]): RoomState =>
  folded(EMPTY_STATE, events.map(([offset, more]) => chatEvent(offset, T0 + offset * 1000, more)), []);

describe('a state off the wire', () => {
  test('is read with authors in line and by index', () => {
    const state = stateFromWire(
      {
        mode: { write: 'participants', slow_ms: 5000, approval: false, replies: ['yes'], unknown: 1 },
        pinned: [{ offset: 3, kind: 'pinned', text: 'read this', program_ms: T0 }],
        polls: [{ poll: 'p1', offset: 7, question: 'Why?', choices: ['a', 'b'], multiple: true, program_ms: T0, voters: 3, tally: [1, 2] }],
        hands: [{ author: 1, since_ms: T0 }, { author: AUTHORS[2], since_ms: T0 + 1 }],
        questions: [{ offset: 9, text: 'why?', upvotes: 4, program_ms: T0, author: 2 }],
      },
      AUTHORS,
    );
    expect(state.mode).toEqual({ write: 'participants', slow_ms: 5000, approval: false, replies: ['yes'] });
    expect(state.pins).toEqual([{ offset: 3, text: 'read this', programMs: T0 }]);
    expect(state.polls[0]).toMatchObject({ poll: 'p1', multiple: true, voters: 3, tally: [1, 2], isOpen: true, answer: null });
    expect(state.hands.map((hand) => hand.author.name)).toEqual(['Student 1', 'Student 2']);
    expect(state.questions[0]).toMatchObject({ offset: 9, upvotes: 4, author: { name: 'Student 2' } });
  });

  test.each([
    [null],
    ['text'],
    [[]],
    [{ mode: 'x', pinned: 3, polls: {}, hands: null, questions: 'y' }],
    [{ mode: { slow_ms: '5', write: 4 }, pinned: [null, { offset: 'x' }], polls: [{ poll: 1, offset: 2 }], hands: [{ author: 99 }], questions: [{ offset: 1.5 }] }],
  ])('that cannot be read is left out: %j', (wire) => {
    expect(stateFromWire(wire, AUTHORS)).toEqual(EMPTY_STATE);
  });
});

describe('folding', () => {
  test('pins come and go, one by one or all at once', () => {
    expect(fold([1, { kind: 'pinned', text: 'a' }], [2, { kind: 'pinned', target: 1, text: 'b' }]).pins.map((pin) => pin.text)).toEqual(['b']);
    expect(fold([1, { kind: 'pinned' }], [2, { kind: 'pinned' }], [3, { kind: 'unpinned', target: 1 }]).pins.map((pin) => pin.offset)).toEqual([2]);
    expect(fold([1, { kind: 'pinned' }], [2, { kind: 'unpinned' }]).pins).toEqual([]);
  });

  test('hands stand in the order they were raised', () => {
    const raised: [number, Partial<WireEvent>][] = [[1, { kind: 'hand_raised', author: 2 }], [2, { kind: 'hand_raised', author: 1 }], [3, { kind: 'hand_raised', author: 2 }]];
    expect(fold(...raised).hands.map((hand) => [hand.author.key, hand.sinceMs])).toEqual([['b', T0 + 1000], ['a', T0 + 2000]]);
    expect(fold(...raised, [4, { kind: 'hand_lowered', author: 2 }]).hands.map((hand) => hand.author.key)).toEqual(['a']);
    expect(fold(...raised, [4, { kind: 'hand_lowered', author: 0, hand: 'a' }]).hands.map((hand) => hand.author.key)).toEqual(['b']); // by staff
  });

  test('a question is open until it is answered, most upvoted first', () => {
    const asked: [number, Partial<WireEvent>][] = [[1, { kind: 'question' }], [2, { kind: 'question' }]];
    const tallies = talliesFromWire([{ program_ms: T0 + 3000, target: 2, count: 5 }]);
    const state = folded(fold(...asked), [], tallies);
    expect(state.questions.map((question) => [question.offset, question.upvotes])).toEqual([[2, 5], [1, 0]]);
    expect(folded(state, [chatEvent(3, T0 + 4000, { kind: 'question_answered', target: 2 })], tallies).questions.map((question) => question.offset)).toEqual([1]);
  });

  test('a mode changes by parts', () => {
    expect(fold([1, { kind: 'mode_changed', mode: { write: 'hosts', slow_ms: 1000 } }], [2, { kind: 'mode_changed', mode: { slow_ms: 0 } }]).mode).toEqual({ write: 'hosts', slow_ms: 0 });
  });

  test('a poll counts votes until its close, which tells the final tally and the answer', () => {
    const open = folded(fold([1, POLL]), [], talliesFromWire([{ program_ms: T0 + 2000, poll: 'p1', tally: [1, 2] }]));
    expect(open.polls).toMatchObject([{ question: 'Is it continuous?', choices: ['yes', 'no'], tally: [1, 2], isOpen: true, isFinal: false, answer: null }]);
    const closed = folded(open, [chatEvent(5, T0 + 5000, { kind: 'poll_closed', poll: 'p1', tally: [3, 9], answer: [1] })], []);
    expect(closed.polls).toMatchObject([{ tally: [3, 9], isOpen: false, isFinal: true, answer: [1] }]);
  });
});

describe('changes of an open slice\'s tallies', () => {
  test('replace what they change, and the last of them makes a closed poll final', () => {
    const held = talliesFromWire([
      { program_ms: T0 + 2_100, poll: 'p1', tally: [1, 0] },
      { program_ms: T0 + 3_000, poll: 'p1', tally: [2, 0] },
      { program_ms: T0 + 3_500, target: 2, count: 1 },
    ]);
    const late = talliesFromWire([{ program_ms: T0 + 2_900, poll: 'p1', tally: [1, 1] }, { program_ms: T0 + 3_000, poll: 'p1', tally: [2, 1] }]);
    const changed = talliesChanged(held, late);
    expect(changed.map((one) => ('poll' in one ? one.tally : one.count))).toEqual([[1, 1], [2, 1], 1]);
    const closed = fold([1, POLL], [5, { kind: 'poll_closed', poll: 'p1' }]);
    expect(folded(closed, [], changed).polls).toMatchObject([{ isFinal: false, tally: [2, 1], answer: null }]);
    const final = talliesChanged(changed, talliesFromWire([{ program_ms: T0 + 5_000, poll: 'p1', tally: [2, 2], answer: [1], final: true }]));
    expect(folded(closed, [], final).polls).toMatchObject([{ isFinal: true, tally: [2, 2], answer: [1] }]);
    expect(folded(fold([1, POLL]), [], final).polls).toMatchObject([{ isFinal: false, answer: null }]); // its close is still to come
  });
});

describe('counts of the edge', () => {
  const open = fold([1, POLL], [2, { kind: 'question' }]);

  test('take down the hands that staff has lowered', () => {
    const [one, both] = [fold([1, { kind: 'hand_raised', author: 2 }]), fold([1, { kind: 'hand_raised', author: 2 }], [2, { kind: 'hand_raised', author: 1 }])];
    expect(counted(both, countsFromWire({}), one).hands.map((hand) => hand.author.key)).toEqual(['b']);
    expect(counted(one, countsFromWire({}), both).hands.map((hand) => hand.author.key)).toEqual(['b']); // not yet raised on the screen
  });

  test('stand in for tallies that no slice has yet', () => {
    const counts = countsFromWire({ polls: [{ poll: 'p1', tally: [4, 5], voters: 9 }], upvotes: [{ target: 2, count: 3 }] });
    expect(counted(open, counts)).toMatchObject({ polls: [{ tally: [4, 5], voters: 9, isOpen: true }], questions: [{ upvotes: 3 }] });
  });

  test('tell no answer of a poll that is still open on the screen', () => {
    const counts = countsFromWire({ polls: [{ poll: 'p1', tally: [4, 5], voters: 9, final: true, answer: [0] }] });
    expect(counted(open, counts).polls[0]).toMatchObject({ isFinal: false, answer: null });
    const closed = folded(open, [chatEvent(5, T0 + 5000, { kind: 'poll_closed', poll: 'p1' })], []);
    expect(counted(closed, counts).polls[0]).toMatchObject({ isFinal: true, answer: [0], tally: [4, 5] });
  });
});

describe('the state at the playhead', () => {
  function busyRoom(seed: number): ModelRoom {
    const random = randomOf(seed);
    const pick = (count: number): number => Math.floor(random() * count);
    const model = new ModelRoom({ sliceEvents: 8 });
    const polls: { name: string; tally: number[]; isOpen: boolean }[] = [];
    for (let second = 0; second < 150; second += 1) {
      const programMs = T0 + second * 1000 + pick(1000);
      const open = polls.filter((poll) => poll.isOpen);
      switch (pick(9)) {
        case 0: model.say(programMs, { kind: 'question', author: pick(3) }); break;
        case 1: model.say(programMs, { kind: 'hand_raised', author: pick(3) }); break;
        case 2: model.say(programMs, { kind: 'hand_lowered', author: pick(3) }); break;
        case 3: model.say(programMs, { kind: 'pinned', text: `pin ${second}` }); break;
        case 4: model.say(programMs, { kind: 'unpinned' }); break;
        case 5: model.say(programMs, { kind: 'mode_changed', mode: { slow_ms: second } }); break;
        case 6: {
          polls.push({ name: `p${second}`, tally: [0, 0], isOpen: true });
          model.say(programMs, { ...POLL, poll: `p${second}` });
          break;
        }
        case 7: {
          const poll = open[pick(open.length)];
          if (poll === undefined) break;
          poll.tally[pick(2)]! += 1;
          model.say(programMs); // votes alone make no slice
          model.counts.push({ program_ms: programMs, poll: poll.name, tally: [...poll.tally] });
          break;
        }
        default: {
          const poll = open[pick(open.length)];
          if (poll === undefined || pick(3) > 0) {
            model.say(programMs);
            break;
          }
          poll.isOpen = false;
          model.say(programMs, { kind: 'poll_closed', poll: poll.name, tally: [...poll.tally] });
        }
      }
    }
    return model;
  }

  /** Closed polls are told by what was closed since the slice began; the rest is the same wherever it comes from. */
  const comparable = (state: RoomState | null): unknown => state && { ...state, polls: state.polls.filter((poll) => poll.isOpen).map(({ voters: _voters, ...poll }) => poll) };

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('is the fold of all that is due, from slices, open slice and socket alike (seed %i)', (seed) => {
    const model = busyRoom(seed);
    model.seal(T0 + 100_000);
    const room = new RoomCache();
    const rows = new VisibleRows(room);
    const state = new ShownState(room);
    room.socketFrom = model.offset;
    room.setLatest(1);
    const settle = (programMs: number): void => {
      for (let round = 0; round < 50; round += 1) {
        rows.advance(at(programMs), 'hold');
        const wanted = rows.wanted();
        if (wanted.length === 0) break;
        for (const one of wanted) model.answer(room, one);
      }
      rows.advance(at(programMs), 'hold');
    };
    const random = randomOf(seed + 100);
    for (let look = 0; look < 40; look += 1) {
      const programMs = T0 + Math.floor(random() * 150_000);
      rows.seek();
      settle(programMs);
      state.look(rows);
      expect(comparable(state.shown)).toEqual(comparable(model.stateAt(programMs)));
    }
    const moved = model.say(T0 + 149_500, { kind: 'pinned', text: 'by the socket' });
    room.receiveTail([chatEvent(moved.offset, moved.program_ms, moved)]);
    settle(T0 + 150_000);
    state.look(rows);
    expect(state.shown!.pins.at(-1)?.text).toBe('by the socket');
  });

  test('is another object only when something of it is another', () => {
    const model = busyRoom(9);
    model.seal(T0 + 150_000);
    const room = new RoomCache();
    const rows = new VisibleRows(room);
    const shown = new ShownState(room);
    let changes = 0;
    for (let programMs = T0; programMs < T0 + 140_000; programMs += 40) {
      rows.advance(at(programMs), 'hold');
      for (const one of rows.wanted()) model.answer(room, one);
      rows.advance(at(programMs), 'hold');
      const before = shown.shown;
      if (shown.look(rows)) changes += 1;
      else expect(shown.shown).toBe(before);
    }
    expect(changes).toBeLessThan(170);
  });
});
