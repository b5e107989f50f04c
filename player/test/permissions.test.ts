import { describe, expect, test } from 'vitest';
import { isStaff, mayNow } from '../src/permissions.js';
import type { Mode } from '../src/room-state.js';

const MODE: Mode = { write: 'participants', messages: true, questions: true, reactions: true, hands: true, private: false, replies: [] };
const who = (role: string, may: string[] = []) => ({ key: 'k', name: 'N', role, may });

describe('what one may do now', () => {
  test.each([
    ['participant', MODE, 'say_message', true],
    ['viewer', MODE, 'say_message', false],
    ['viewer', { ...MODE, write: 'everyone' }, 'say_message', true],
    ['participant', { ...MODE, write: 'hosts' }, 'say_question', false],
    ['moderator', { ...MODE, write: 'hosts' }, 'say_question', true],
    ['moderator', { ...MODE, write: 'nobody' }, 'say_message', false],
    ['host', { ...MODE, write: 'nobody', messages: false }, 'say_message', true],
    ['participant', { ...MODE, messages: false }, 'say_message', false],
    ['participant', MODE, 'say_reply', false],
    ['participant', { ...MODE, replies: ['Yes'] }, 'say_reply', true],
    ['participant', MODE, 'say_announcement', false],
    ['host', MODE, 'say_announcement', true],
    ['participant', MODE, 'say_private', false],
    ['participant', { ...MODE, private: true }, 'say_private', true],
    ['guest', { ...MODE, private: true }, 'say_private', false],
    ['participant', { ...MODE, reactions: false }, 'react', false],
    ['viewer', MODE, 'upvote', true],
    ['viewer', MODE, 'raise_hand', false],
  ])('%s: %o %s is %s', (role, mode, deed, expected) => {
    expect(mayNow(who(role), mode, deed)).toBe(expected);
  });

  test('what no mode changes, and what is not known, is as the welcome says', () => {
    expect(mayNow(who('participant', ['report']), MODE, 'report')).toBe(true);
    expect(mayNow(who('participant'), MODE, 'hide')).toBe(false);
    expect(mayNow(who('guest', ['say_message']), MODE, 'say_message')).toBe(true);
    expect(mayNow(who('participant', ['say_message']), {}, 'say_message')).toBe(true);
    expect(mayNow(null, MODE, 'say_message')).toBe(false);
    expect([isStaff(who('host')), isStaff(who('moderator')), isStaff(who('participant')), isStaff(null)]).toEqual([true, true, false, false]);
  });
});
