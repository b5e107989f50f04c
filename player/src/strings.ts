/** Every word the elements show, one table per language. Times and counts are filled in by the functions. */

export interface Strings {
  readonly chat: string;
  readonly messages: string;
  readonly live: string;
  readonly recording: string;
  readonly jumpToLive: string;
  readonly jumpToNow: string;
  readonly goTo: (time: string) => string;
  readonly paused: string;
  readonly newMessages: (count: number) => string;
  readonly newAnnounced: (count: number) => string;
  readonly behindLive: (time: string) => string;
  readonly question: string;
  readonly announcement: string;
  readonly host: string;
  readonly moderator: string;
  readonly pinned: (text: string) => string;
  readonly unpinned: string;
  readonly questionAnswered: string;
  readonly broadcastOpened: string;
  readonly broadcastClosed: string;
  readonly write: string;
  readonly send: string;
  readonly ask: string;
  readonly sending: string;
  readonly held: string;
  readonly sayAgain: string;
  readonly dismiss: string;
  readonly failed: (code: string) => string;
  readonly empty: string;
  readonly loading: string;
  readonly connecting: string;
  readonly offline: string;
  readonly closed: (code: number) => string;
  readonly holdHint: string;
  readonly nowHint: string;
  readonly syncHold: string;
  readonly syncNow: string;
}

const FAILED: Readonly<Record<string, string>> = {
  rate_limited: 'You are writing too fast.',
  slow_mode: 'Slow mode is on: wait a moment.',
  too_long: 'The message is too long.',
  muted: 'You are muted.',
  not_allowed: 'You may not write here now.',
};

const CLOSED: Readonly<Record<number, string>> = {
  4501: 'This chat does not exist, or is not open to you.',
  4502: 'Your access has ended. Reload the page.',
  4504: 'You cannot take part in this chat.',
};

export const english: Strings = {
  chat: 'Chat',
  messages: 'Chat messages',
  live: 'LIVE',
  recording: 'RECORDING',
  jumpToLive: 'Jump to live',
  jumpToNow: 'Jump to now',
  goTo: (time) => `Go to ${time}`,
  paused: 'Chat paused',
  newMessages: (count) => `${count} new`,
  newAnnounced: (count) => (count === 1 ? '1 new message' : `${count} new messages`),
  behindLive: (time) => `said while watching ${time}`,
  question: 'Question',
  announcement: 'Announcement',
  host: 'Host',
  moderator: 'Moderator',
  pinned: (text) => (text === '' ? 'A message was pinned' : `Pinned: ${text}`),
  unpinned: 'The pinned message was taken down',
  questionAnswered: 'A question was answered',
  broadcastOpened: 'The broadcast has begun',
  broadcastClosed: 'The broadcast has ended',
  write: 'Write a message',
  send: 'Send',
  ask: 'Ask as a question',
  sending: 'Sending…',
  held: 'Waiting for approval',
  sayAgain: 'Try again',
  dismiss: 'Remove',
  failed: (code) => FAILED[code] ?? `Not sent (${code}).`,
  empty: 'Nothing has been said here yet.',
  loading: 'Loading chat…',
  connecting: 'Connecting…',
  offline: 'Connection lost. Trying again…',
  closed: (code) => CLOSED[code] ?? 'The chat is closed.',
  holdHint: 'Messages appear with the picture they belong to',
  nowHint: 'Messages appear as they are written',
  syncHold: 'With the picture',
  syncNow: 'As written',
};

const LANGUAGES: Readonly<Record<string, Strings>> = { en: english };

/** The table of a language tag such as `en-GB`; English when there is none. */
export function stringsFor(language: string | null | undefined): Strings {
  const primary = (language ?? '').toLowerCase().split('-')[0] ?? '';
  return LANGUAGES[primary] ?? english;
}

/** `3:20`, `1:02:03`. */
export function clockText(lengthMs: number): string {
  const seconds = Math.max(0, Math.floor(lengthMs / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A program time as a time of day where the viewer is. */
export function timeOfDayText(programMs: number, language?: string): string {
  return new Date(programMs).toLocaleTimeString(language || undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}
