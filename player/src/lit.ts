/** What the elements use of lit, in one place: the second script takes it from the first, so that there is one lit in a page. */

export { css, html, LitElement, nothing, svg } from 'lit';
export { ref } from 'lit/directives/ref.js';
export { repeat } from 'lit/directives/repeat.js';
