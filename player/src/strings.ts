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
  readonly more: (count: number) => string;
  readonly watching: (count: number) => string;
  readonly message: string;
  readonly privateMark: string;
  readonly privateHint: string;
  readonly writePrivately: string;
  readonly announce: string;
  readonly kindOfMessage: string;
  readonly answering: (name: string) => string;
  readonly stopAnswering: string;
  readonly slowMode: (seconds: number) => string;
  readonly chatClosed: string;
  readonly hostsOnly: string;
  readonly mayNotWrite: string;
  readonly replies: string;
  readonly reactions: string;
  readonly react: (emoji: string) => string;
  readonly raiseHand: string;
  readonly lowerHand: string;
  readonly actions: string;
  readonly actionsFor: (name: string) => string;
  readonly about: (action: string, name: string) => string;
  readonly answer: string;
  readonly upvote: string;
  readonly report: string;
  readonly muteForMe: string;
  readonly hide: string;
  readonly pin: string;
  readonly mute: string;
  readonly ban: string;
  readonly banReally: string;
  readonly undo: string;
  readonly done: Readonly<Record<string, string>>;
  readonly refused: (code: string) => string;
  readonly close: string;
  readonly views: string;
  readonly questions: (count: number) => string;
  readonly noQuestions: string;
  readonly upvoteCount: (count: number, name: string) => string;
  readonly answered: string;
  readonly moderation: (count: number) => string;
  readonly waiting: string;
  readonly nothingWaits: string;
  readonly approve: string;
  readonly reject: string;
  readonly reports: string;
  readonly noReports: string;
  readonly hands: string;
  readonly noHands: string;
  readonly pinnedMessage: string;
  readonly unpin: string;
  readonly poll: string;
  readonly vote: string;
  readonly voteAgain: string;
  readonly yourVote: string;
  readonly votes: (count: number) => string;
  readonly closePoll: string;
  readonly pollFinal: (count: number) => string;
  readonly pollCounting: string;
  readonly rightAnswer: string;
  readonly options: string;
  readonly offset: string;
  readonly offsetHint: string;
  readonly offsetReset: string;
  readonly earlierBy: (seconds: number) => string;
  readonly laterBy: (seconds: number) => string;
  readonly mutedByYou: string;
  readonly nobodyMuted: string;
  readonly showAgain: string;
}

const FAILED: Readonly<Record<string, string>> = {
  rate_limited: 'You are writing too fast.',
  slow_mode: 'Slow mode is on: wait a moment.',
  too_long: 'The message is too long.',
  muted: 'You are muted.',
  not_allowed: 'You may not write here now.',
};

const REFUSED: Readonly<Record<string, string>> = {
  rate_limited: 'Too fast. Wait a moment.',
  not_allowed: 'You may not do that now.',
  not_found: 'That is not there any more.',
  closed: 'The poll is closed.',
  offline: 'There is no connection.',
  socket_closed: 'There is no connection.',
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
  more: (count) => `+${count} more`,
  watching: (count) => (count === 1 ? '1 watching' : `${count} watching`),
  message: 'Message',
  privateMark: 'To the hosts',
  privateHint: 'Only hosts and moderators will see it.',
  writePrivately: 'Write to the hosts',
  announce: 'Write an announcement',
  kindOfMessage: 'Kind of message',
  answering: (name) => `Answering ${name}:`,
  stopAnswering: 'Do not answer',
  slowMode: (seconds) => (seconds === 1 ? 'Slow mode: one message a second' : `Slow mode: one message in ${seconds} seconds`),
  chatClosed: 'The chat is closed.',
  hostsOnly: 'Only hosts write at the moment.',
  mayNotWrite: 'You cannot write here at the moment.',
  replies: 'Answers to choose from',
  reactions: 'Reactions',
  react: (emoji) => `React with ${emoji}`,
  raiseHand: 'Raise hand',
  lowerHand: 'Lower hand',
  actions: 'Actions',
  actionsFor: (name) => `Actions for the message of ${name}`,
  about: (action, name) => `${action}: ${name}`,
  answer: 'Reply',
  upvote: 'Upvote',
  report: 'Report',
  muteForMe: 'Mute for me',
  hide: 'Hide',
  pin: 'Pin',
  mute: 'Mute for 10 min',
  ban: 'Ban',
  banReally: 'Ban for good?',
  undo: 'Undo',
  done: {
    report: 'Reported. Only the moderators see it.',
    hide: 'The message is hidden for everyone.',
    restore: 'The message is back.',
    mute: 'Muted for 10 minutes.',
    ban: 'Banned.',
    pin: 'Pinned.',
    answer: 'Marked as answered.',
    muteForMe: 'You will not see their messages.',
  },
  refused: (code) => REFUSED[code] ?? `That did not work (${code}).`,
  close: 'Close',
  views: 'What to show',
  questions: (count) => (count === 0 ? 'Questions' : `Questions (${count})`),
  noQuestions: 'No open questions.',
  upvoteCount: (count, name) => `▲ ${count}: upvote the question of ${name}`,
  answered: 'Answered',
  moderation: (count) => (count === 0 ? 'Moderation' : `Moderation (${count})`),
  waiting: 'Waiting for approval',
  nothingWaits: 'Nothing waits.',
  approve: 'Approve',
  reject: 'Reject',
  reports: 'Reported',
  noReports: 'Nothing was reported.',
  hands: 'Raised hands',
  noHands: 'No hand is up.',
  pinnedMessage: 'Pinned message',
  unpin: 'Take down',
  poll: 'Poll',
  vote: 'Vote',
  voteAgain: 'Change my vote',
  yourVote: 'your vote',
  votes: (count) => (count === 1 ? '1 vote' : `${count} votes`),
  closePoll: 'Close poll',
  pollFinal: (count) => (count === 1 ? 'Final: 1 vote' : `Final: ${count} votes`),
  pollCounting: 'Closed. Late votes are still being counted.',
  rightAnswer: 'right',
  options: 'Options',
  offset: 'Chat later or earlier',
  offsetHint: 'For a stream whose clock is wrong. Remembered for this stream.',
  offsetReset: 'Reset',
  earlierBy: (seconds) => `${seconds} s earlier`,
  laterBy: (seconds) => `${seconds} s later`,
  mutedByYou: 'Muted by you',
  nobodyMuted: 'Nobody.',
  showAgain: 'Show again',
};

const LANGUAGES: Record<string, Strings> = { en: english };

/** Add a table, by the primary tag of its language: `addLanguage('ar', arabic)`. Elements use it from their next render on. */
export function addLanguage(language: string, strings: Strings): void {
  LANGUAGES[language] = strings;
}

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
