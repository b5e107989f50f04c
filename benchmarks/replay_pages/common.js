// What the pages of benchmarks/replay.py share: where the picture is, and how long it takes until the pane is right.
const query = new URLSearchParams(location.search);
const COUNT = Number(query.get('count'));
const DURATION_MS = Number(query.get('duration_ms'));
const START_MS = Number(query.get('start_ms')); // program time of position 0

/** The number of the last message due at a position. */
const lastDue = (positionMs) => Math.floor((positionMs * COUNT) / DURATION_MS);

/** Ask at every repaint until `right()`, and say how many ms it took since `sinceMs`. */
function untilRight(right, sinceMs, withinMs = 60_000) {
  return new Promise((resolve) => {
    const look = () => {
      const tookMs = performance.now() - sinceMs;
      if (right()) resolve(tookMs);
      else if (tookMs > withinMs) resolve(null);
      else requestAnimationFrame(look);
    };
    look();
  });
}
