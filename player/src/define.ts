/** Registers `<chatsync-chat>`. The only module with a side effect. */

import { ChatsyncChat } from './chat-element.js';

declare global {
  interface HTMLElementTagNameMap {
    'chatsync-chat': ChatsyncChat;
  }
}

if (customElements.get('chatsync-chat') === undefined) customElements.define('chatsync-chat', ChatsyncChat);

export { ChatsyncChat };
