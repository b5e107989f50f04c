/**
 * Every word of the heatmap, the search and the watch page, one table per language.
 *
 * Apart from strings.ts, since the first script has neither: a page with only the chat does not load them.
 */

export interface FindingStrings {
  readonly activity: string;
  readonly peaks: string;
  readonly noPeaks: string;
  readonly peak: (time: string, count: number) => string;
  readonly messages: (count: number) => string;
  readonly questions: string;
  readonly question: (time: string, text: string) => string;
  readonly polls: string;
  readonly poll: (time: string, text: string) => string;
  readonly pin: (time: string, text: string) => string;
  readonly notRecorded: string;
  readonly search: string;
  readonly searchHint: string;
  readonly find: string;
  readonly hits: (count: number, isAll: boolean) => string;
  readonly noHits: string;
  readonly more: string;
  readonly searching: string;
  readonly failed: string;
  readonly answered: string;
  readonly upvotes: (count: number) => string;
  // The watch page:
  readonly chapters: string;
  readonly aQuestion: string;
  readonly aPoll: string;
  readonly aPin: string;
  readonly aPeak: string;
  readonly recordings: string;
  readonly recording: (name: string, length: string) => string;
  readonly live: string;
  readonly ended: string;
  readonly replay: string;
  readonly waiting: string;
  readonly outOfReach: string;
  readonly share: string;
  readonly copied: (time: string) => string;
  readonly copyThis: string;
  readonly noVideo: string;
  readonly playChat: string;
  readonly pauseChat: string;
  readonly position: string;
  readonly cannotPlay: string;
  readonly nothingYet: string;
  readonly chat: string;
}

const english: FindingStrings = {
  activity: 'How much was said',
  peaks: 'Most talked about',
  noPeaks: 'No moment stands out.',
  peak: (time, count) => `${time}: ${english.messages(count)}`,
  messages: (count) => (count === 1 ? '1 message' : `${count} messages`),
  questions: 'Questions',
  question: (time, text) => `${time}, question: ${text}`,
  polls: 'Polls',
  poll: (time, text) => `${time}, poll: ${text}`,
  pin: (time, text) => `${time}, pinned: ${text}`,
  notRecorded: 'Nothing was recorded here',
  search: 'Search',
  searchHint: 'Find in chat',
  find: 'Find',
  hits: (count, isAll) => (count === 1 && isAll ? '1 message found' : `${isAll ? '' : 'More than '}${count} messages found`),
  noHits: 'No message with these words.',
  more: 'Show more',
  searching: 'Looking…',
  failed: 'The search was not answered. Try again.',
  answered: 'answered',
  upvotes: (count) => (count === 1 ? '1 upvote' : `${count} upvotes`),
  chapters: 'Moments',
  aQuestion: 'Question',
  aPoll: 'Poll',
  aPin: 'Pinned',
  aPeak: 'Most talked about',
  recordings: 'Recordings',
  recording: (name, length) => `${name}, ${length}`,
  live: 'Live',
  ended: 'The stream has ended.',
  replay: 'Watch the replay',
  waiting: 'The video has not begun.',
  outOfReach: 'This moment is not in the stream any more.',
  share: 'Share this moment',
  copied: (time) => `A link to ${time} is copied.`,
  copyThis: 'Copy this link:',
  noVideo: 'There is no video here. The chat plays by itself.',
  playChat: 'Play',
  pauseChat: 'Pause',
  position: 'Position',
  cannotPlay: 'The video cannot be played. The chat plays by itself.',
  nothingYet: 'Nothing yet.',
  chat: 'Chat',
};

const arabicPlural = new Intl.PluralRules('ar');

function arabicCount(count: number, one: string, two: string, few: string, many: string): string {
  switch (arabicPlural.select(count)) {
    case 'one':
      return one;
    case 'two':
      return two;
    case 'few':
      return `${count} ${few}`;
    case 'many':
      return `${count} ${many}`;
    default:
      return `${count} ${one}`;
  }
}

const arabic: FindingStrings = {
  activity: 'حجم النقاش',
  peaks: 'أكثر اللحظات نقاشًا',
  noPeaks: 'لا توجد لحظة بارزة.',
  peak: (time, count) => `${time}: ${arabic.messages(count)}`,
  messages: (count) => arabicCount(count, 'رسالة', 'رسالتان', 'رسائل', 'رسالة'),
  questions: 'الأسئلة',
  question: (time, text) => `${time}، سؤال: ${text}`,
  polls: 'الاستطلاعات',
  poll: (time, text) => `${time}، استطلاع: ${text}`,
  pin: (time, text) => `${time}، مثبّتة: ${text}`,
  notRecorded: 'لم يُسجَّل شيء هنا',
  search: 'بحث',
  searchHint: 'ابحث في الدردشة',
  find: 'ابحث',
  hits: (count, isAll) => (isAll ? `عُثر على ${arabic.messages(count)}` : `عُثر على أكثر من ${arabic.messages(count)}`),
  noHits: 'لا توجد رسالة بهذه الكلمات.',
  more: 'عرض المزيد',
  searching: 'جارٍ البحث…',
  failed: 'لم يُجَب عن البحث. حاول مرة أخرى.',
  answered: 'أُجيب عنه',
  upvotes: (count) => arabicCount(count, 'تأييد واحد', 'تأييدان', 'تأييدات', 'تأييدًا'),
  chapters: 'اللحظات',
  aQuestion: 'سؤال',
  aPoll: 'استطلاع',
  aPin: 'مثبّتة',
  aPeak: 'نقاش كثير',
  recordings: 'التسجيلات',
  recording: (name, length) => `${name}، ${length}`,
  live: 'مباشر',
  ended: 'انتهى البث.',
  replay: 'شاهد الإعادة',
  waiting: 'لم يبدأ الفيديو بعد.',
  outOfReach: 'لم تعد هذه اللحظة في البث.',
  share: 'شارك هذه اللحظة',
  copied: (time) => `نُسخ رابط إلى ${time}.`,
  copyThis: 'انسخ هذا الرابط:',
  noVideo: 'لا يوجد فيديو هنا. تعمل الدردشة وحدها.',
  playChat: 'تشغيل',
  pauseChat: 'إيقاف مؤقت',
  position: 'الموضع',
  cannotPlay: 'تعذّر تشغيل الفيديو. تعمل الدردشة وحدها.',
  nothingYet: 'لا شيء بعد.',
  chat: 'الدردشة',
};

const LANGUAGES: Readonly<Record<string, FindingStrings>> = { en: english, ar: arabic };

/** The table of a language tag such as `ar-EG`; English when there is none. */
export function findingStringsFor(language: string | null | undefined): FindingStrings {
  const primary = (language ?? '').toLowerCase().split('-')[0] ?? '';
  return LANGUAGES[primary] ?? english;
}
