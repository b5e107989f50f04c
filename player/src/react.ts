/**
 * React components around the elements: properties as props, events as `on…`.
 *
 * Owns: which names React sees. Does not know: the chat. Whoever draws the chat with their own components takes
 * `ChatTimeline` instead (docs/player.md). The wrapping is @lit/react's, which is built in.
 */

import { createComponent } from '@lit/react';
import * as React from 'react';
import { ChatsyncChat as ChatsyncChatElement, type SeekRequest } from './chat-element.js';
import './define.js';

/** The element's own properties; `className`, `style`, `id`, `lang` and the like go to it too. */
export interface ChatsyncChatProps
  extends Partial<Pick<ChatsyncChatElement, 'room' | 'server' | 'tokenFrom' | 'recording' | 'sync' | 'reactions' | 'adapter' | 'token'>>,
    Omit<React.HTMLAttributes<ChatsyncChatElement>, 'onError'> {
  readonly onMessage?: (event: CustomEvent<{ readonly offset: number; readonly programMs: number; readonly kind: string }>) => void;
  readonly onSettled?: (event: CustomEvent<{ readonly generation: number; readonly cutoffMs: number | null }>) => void;
  readonly onSeekRequest?: (event: CustomEvent<SeekRequest>) => void;
  readonly onError?: (event: CustomEvent<unknown>) => void;
}

/** `<chatsync-chat>`; a ref gives the element. */
export const ChatsyncChat = createComponent({
  react: React,
  tagName: 'chatsync-chat',
  elementClass: ChatsyncChatElement,
  displayName: 'ChatsyncChat',
  events: {
    onMessage: 'chatsync-message',
    onSettled: 'chatsync-settled',
    onSeekRequest: 'chatsync-seek-request',
    onError: 'chatsync-error',
  },
}) as unknown as React.ForwardRefExoticComponent<ChatsyncChatProps & React.RefAttributes<ChatsyncChatElement>>;
