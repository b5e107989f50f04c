/** The names that the element knew `ChatTimeline` by before it became the one public class. */

export { ChatTimeline as ChatSession, type ChatTimelineOptions as SessionOptions } from './chat-timeline.js';
