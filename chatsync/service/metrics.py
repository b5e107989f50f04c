"""What the relay counts, in Prometheus' words, served on ``/metrics``.

Owns: the names and help texts. Does not know: who scrapes. A metric names rooms, never people.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from chatsync.store.journal import Appended

__all__ = ["Metrics"]

_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """The relay's own registry: nothing is shared between two relays in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "chatsync_events_total", "Events made durable.", ["room", "kind", "stamp"], registry=self.registry
        )
        self._stamped: dict[
            tuple[str, str, str], Counter
        ] = {}  # finding a child by its labels costs more than counting
        self._duplicates = Counter(
            "chatsync_duplicates_total",
            "Messages sent again and answered with their first ack.",
            ["room"],
            registry=self.registry,
        )
        self._reloads = Counter(
            "chatsync_playlist_reloads_total",
            "Playlist reloads by what they were.",
            ["room", "kind"],
            registry=self.registry,
        )
        self.connections = Gauge("chatsync_connections", "Open live connections.", ["room"], registry=self.registry)
        self.closed = Counter(
            "chatsync_closed_total", "Sockets closed by us, by code.", ["code"], registry=self.registry
        )
        self.refused = Counter("chatsync_refused_total", "Acts refused, by code.", ["code"], registry=self.registry)
        self.reads = Counter(
            "chatsync_reads_total",
            "Chat playlists, sealed and open slices answered by us rather than by what is in front.",
            ["what"],
            registry=self.registry,
        )
        self.slices = Counter(
            "chatsync_slices_total", "Slices sealed and revised.", ["room", "what"], registry=self.registry
        )
        self.purges = Counter(
            "chatsync_purges_total", "Keys and paths that a cache was told to drop.", ["cache"], registry=self.registry
        )
        self.purge_failures = Counter(
            "chatsync_purge_failures_total",
            "Times a cache could not be told, or said no.",
            ["cache"],
            registry=self.registry,
        )
        self.purges_waiting = Gauge(
            "chatsync_purges_waiting",
            "Keys and paths that a cache is still to be told.",
            ["cache"],
            registry=self.registry,
        )
        self.purge_s = Histogram(
            "chatsync_purge_seconds",
            "From a durable deed to the answer of the cache that was told of it.",
            ["cache"],
            buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 15, 60, 300),
            registry=self.registry,
        )
        self.sealed_behind_s = Gauge(
            "chatsync_sealed_behind_seconds", "Program clock less what is sealed.", ["room"], registry=self.registry
        )
        self.skew_s = Gauge(
            "chatsync_skew_seconds", "Wall time less the program clock.", ["room"], registry=self.registry
        )
        self.sync_alarm = Gauge(
            "chatsync_sync_alarm",
            "1 while chat is placed less well than it could be, by cause.",
            ["room", "cause"],
            registry=self.registry,
        )
        self.filtered = Counter(
            "chatsync_filtered_total",
            "Messages an external filter was asked about, or was not because it rests, by what came of it.",
            ["room", "outcome"],
            registry=self.registry,
        )
        self.filter_rests = Gauge(
            "chatsync_filter_rests",
            "1 while an external filter has failed so often that it is left alone.",
            ["room"],
            registry=self.registry,
        )
        self.human_checks = Counter(
            "chatsync_human_checks_total",
            "Guests asked about before they write, by what came of it.",
            ["room", "outcome"],
            registry=self.registry,
        )
        self.source_connected = Gauge(
            "chatsync_source_connected", "1 while a chat elsewhere is listened to.", ["room"], registry=self.registry
        )
        self.source_lost = Counter(
            "chatsync_source_lost_total",
            "Connections to a chat elsewhere that were lost or not made.",
            ["room"],
            registry=self.registry,
        )
        self.source_lines = Counter(
            "chatsync_source_lines_total",
            "Lines of a chat elsewhere by what became of them.",
            ["room", "outcome"],
            registry=self.registry,
        )
        self.commit_s = Histogram(
            "chatsync_commit_seconds",
            "From receipt of an act to its durable ack.",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        self.loop_lag_s = Histogram(
            "chatsync_loop_lag_seconds",
            "How late the event loop came to what was planned for every 20 ms.",
            buckets=_LAG_S,
            registry=self.registry,
        )
        self.loop_lag_own_s = Histogram(
            "chatsync_loop_lag_own_seconds",
            "The same, less what the loop's thread waited for a core that others had.",
            buckets=_LAG_S,
            registry=self.registry,
        )
        self.tasks = Gauge("chatsync_tasks", "Tasks of the event loop.", registry=self.registry)
        self.journal_reads = Counter(
            "chatsync_journal_reads_total", "Looks into chatsync.db by readers.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def stamped(self, room: str, appended: Appended) -> None:
        """Count an event that is durable, or one that was sent again."""
        if appended.duplicate:
            self._duplicates.labels(room).inc()
        else:
            event = appended.event
            key = (room, event.kind, event.stamp.stamp)
            counter = self._stamped.get(key)
            if counter is None:
                counter = self._stamped[key] = self._events.labels(*key)
            counter.inc()

    def reload(self, room: str, kind: str) -> None:
        """Count a reload of a room's playlist."""
        self._reloads.labels(room, kind).inc()

    def exposition(self) -> bytes:
        """The text format Prometheus reads."""
        return generate_latest(self.registry)
