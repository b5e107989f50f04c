/**
 * What one may do now: the role's rights as the room's mode leaves them.
 *
 * Owns: the rows of the relay's table that depend on the mode, so that buttons come and go with it. Does not decide: the
 * relay asks again at every deed. Source: docs/policy.md.
 */

import { mayDo, type You } from './protocol.js';
import type { Mode } from './room-state.js';

const STAFF: ReadonlySet<string> = new Set(['host', 'moderator']);
const WRITERS: Readonly<Record<string, readonly string[]>> = {
  everyone: ['viewer', 'participant', 'moderator', 'host'],
  participants: ['participant', 'moderator', 'host'],
  hosts: ['moderator', 'host'],
  nobody: ['host'],
};
const PARTS = {
  say_message: 'messages',
  say_question: 'questions',
  say_reply: 'replies',
  say_announcement: null,
  raise_hand: 'hands',
  react: 'reactions',
  upvote: 'questions',
} as const;
const WRITING: ReadonlySet<string> = new Set(['say_message', 'say_question', 'say_reply', 'say_announcement', 'raise_hand']);

export const isStaff = (you: You | null): boolean => STAFF.has(you?.role ?? '');

/** @param mode the edge's: what the relay goes by. */
export function mayNow(you: You | null, mode: Mode | null, deed: string): boolean {
  if (you === null) return false;
  if (deed === 'say_private') return mode?.private === true && you.role !== 'guest';
  if (!(deed in PARTS) || mode?.write === undefined || you.role === 'guest') return mayDo(you, deed);
  if (deed === 'say_announcement' && !isStaff(you)) return false;
  if (WRITING.has(deed) && WRITERS[mode.write]?.includes(you.role) !== true) return false;
  const part = PARTS[deed as keyof typeof PARTS];
  if (part === null || isStaff(you)) return true;
  return part === 'replies' ? (mode.replies?.length ?? 0) > 0 : mode[part] !== false;
}
