/**
 * What lit's `repeat` leaves behind: for every item that goes, the comment that marked its end.
 *
 * lit-html has done so since 3.3.1 (lit/lit#5298). A list that is never done, as a chat is, would fill its page with them.
 * Owns: telling them from those that are in use. Does not know: the list.
 */

const SLACK = 100;

/**
 * Take them away, when there are many. @param list whose items are one element each, between two markers of their own.
 *
 * Between two elements stand the end of the one, what was left, and the start of the other.
 */
export function takeLeftMarkers(list: Element): void {
  if (list.childNodes.length < 3 * list.children.length + SLACK) return;
  for (const node of [...list.childNodes]) {
    const isInUse = [node.previousSibling, node.nextSibling].some((beside) => beside instanceof Element);
    if ((node as Comment).data === '' && !isInUse) node.remove(); // an element has no data, and lit's own comment has some
  }
}
