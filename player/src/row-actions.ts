/**
 * What can be done with a message, by whoever looks at it.
 *
 * Owns: which of the deeds are offered, and in what order. Does not decide: the relay asks again at every deed.
 * Units: `until_ms` is the relay's wall clock.
 */

import type { RowAction } from './chat-rows.js';
import type { ChatTimeline } from './chat-timeline.js';
import type { DeedFields } from './deeds.js';
import { isStaff, mayNow } from './permissions.js';
import type { ChatEvent } from './protocol.js';
import type { Strings } from './strings.js';

const MUTE_MS = 600_000;

/** What the actions ask of the element around them. */
export interface ActionHost {
  readonly strings: Strings;
  /** The deed that is asked about once more. */
  readonly armed: string | null;
  readonly hasUpvoted: (offset: number) => boolean;
  readonly act: (action: string, fields: DeedFields, undo?: () => void) => void;
  readonly answer: (event: ChatEvent) => void;
  readonly upvote: (offset: number) => void;
  readonly muteForMe: (key: string, name: string) => void;
  readonly arm: (what: string) => void;
  readonly fold: () => void;
}

export function actionsOf(event: ChatEvent, session: ChatTimeline, host: ActionHost): RowAction[] {
  const { strings } = host;
  const { you } = session;
  const mode = session.edge?.mode ?? null;
  const may = (deed: string): boolean => session.status !== 'recording' && mayNow(you, mode, deed);
  const { author, offset } = event;
  const isOwn = author !== null && author.key === you?.key;
  const actions: RowAction[] = [];
  const add = (id: string, label: string, run: () => void, isDanger = false): void => {
    const foldAndRun = (): void => {
      host.fold();
      run();
    };
    actions.push({ id, label, isDanger, run: foldAndRun });
  };
  if (may('say_message') || may('say_question')) add('answer', strings.answer, () => host.answer(event));
  if (event.kind === 'question' && may('upvote') && !isOwn && !host.hasUpvoted(offset)) add('upvote', strings.upvote, () => host.upvote(offset));
  if (!isOwn && may('report')) add('report', strings.report, () => host.act('report', { target: offset }));
  if (!isOwn && author !== null) add('mute-for-me', strings.muteForMe, () => host.muteForMe(author.key, author.name));
  if (!isStaff(you)) return actions;
  if (event.kind === 'question' && may('answer')) add('answered', strings.answered, () => host.act('answer', { target: offset }));
  if (may('pin')) add('pin', strings.pin, () => host.act('pin', { target: offset }));
  if (may('hide')) add('hide', strings.hide, () => host.act('hide', { target: offset }, () => host.act('restore', { target: offset })), true);
  if (isOwn || author === null || author.role === 'host') return actions;
  if (may('mute')) add('mute', strings.mute, () => host.act('mute', { author: author.key, until_ms: (session.wallMs ?? 0) + MUTE_MS }), true);
  const ban = `ban ${author.key}`;
  if (may('ban') && host.armed === ban) add('ban', strings.banReally, () => host.act('ban', { author: author.key }), true);
  else if (may('ban')) actions.push({ id: 'ban', label: strings.ban, isDanger: true, run: () => host.arm(ban) });
  return actions;
}
