"""Wiring: the only place that builds and closes things.

Owns: the order in which parts start and stop, the ASGI application, its middleware. Does not know: what the parts do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.resources import files as package_files
from typing import Any

import structlog
from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles

from chatsync import __version__
from chatsync.instants import SECOND_US
from chatsync.service.archiving import Archiving
from chatsync.service.auth import TokenAuthority
from chatsync.service.bodies import BodyLimit
from chatsync.service.clock import Clock, SteadyClock
from chatsync.service.deliveries import Deliveries
from chatsync.service.fetching import PlaylistFetcher
from chatsync.service.hub import Hub
from chatsync.service.keys import read_keys
from chatsync.service.loop_lag import LoopLag, measure
from chatsync.service.metrics import Metrics
from chatsync.service.openid import provider_keys_of
from chatsync.service.origins import RoomCors
from chatsync.service.outgoing import Outgoing, client_to
from chatsync.service.problems import install
from chatsync.service.purge_keys import PurgeKeys
from chatsync.service.purging import KEPT_MORE_S, Cache, Purging
from chatsync.service.reading import Reading
from chatsync.service.routes import (
    admin,
    api_page,
    asking,
    audit,
    events,
    exporting,
    finding,
    health,
    host_page,
    messages,
    panel,
    recordings,
    rooms,
    slices,
    tokens,
    watch,
)
from chatsync.service.settings import Settings, check_safe, token_key
from chatsync.service.short_path import ShortPath, ShortPathApp
from chatsync.service.slice_answers import SliceAnswers
from chatsync.service.turns import Turns
from chatsync.store.archive import Archive
from chatsync.store.catalog import Catalog
from chatsync.store.files import Files
from chatsync.store.journal import Journal
from chatsync.store.making import FileMaker, Maker
from chatsync.store.opening import Store
from chatsync.store.query import Query
from chatsync.store.recall import Recall
from chatsync.store.worker import Worker
from chatsync.store.writer import Completed, Writer

__all__ = ["create_app", "player_folder"]

_THREADS = 3  # each more that computes takes as much of Python from the event loop as the loop has itself

_log = structlog.get_logger(__name__)


def player_folder() -> Any:
    """Where the built player lies inside the package."""
    return package_files("chatsync") / "web"


def create_app(
    settings: Settings,
    clock: Clock | None = None,
    *,
    started: Callable[[Hub], None] | None = None,
    has_worker: bool = False,
) -> FastAPI:
    """The relay as an ASGI application; everything is opened in its lifespan and closed in reverse.

    Args:
        settings: checked for safety here.
        clock: the only source of time.
        started: told the hub once it serves; the demo looks on from there.
        has_worker: archive files are made in a process of their own.

    Raises:
        SettingsError: the settings are unsafe, with every reason.
    """
    check_safe(settings)
    the_clock = clock or SteadyClock()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            hub = await _built(settings, the_clock, stack, has_worker=has_worker)
            app.state.hub = hub
            app.state.answers = SliceAnswers(hub)
            app.state.short_path = ShortPath(hub, app.state.answers)
            app.state.loop_lag = LoopLag(hub.metrics.loop_lag_s.observe, hub.metrics.loop_lag_own_s.observe)
            measuring = asyncio.create_task(measure(app.state.loop_lag), name="loop lag")
            stack.callback(measuring.cancel)
            await hub.start()
            stack.push_async_callback(hub.stop)
            archiving = asyncio.create_task(hub.archiving.run(), name="archive")
            stack.callback(archiving.cancel)
            if started is not None:
                started(hub)
            yield {"hub": hub, "short_path": app.state.short_path}
            hub.is_stopping = True

    app = ShortPathApp(
        title="chatsync",
        version=__version__,
        summary="Chat that stays with the picture",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,  # another spelling is another path: a redirect would repeat the client's own Host
    )
    for routes in (
        slices,
        rooms,
        finding,
        exporting,
        asking,
        recordings,
        messages,
        events,
        panel,
        admin,
        audit,
        tokens,
        health,
        api_page,
        host_page,
        watch,
    ):
        app.include_router(routes.router)
    _add_player(app)
    install(app)
    app.add_middleware(BodyLimit, limits=settings.limits)
    app.add_middleware(RoomCors)
    return app


async def _built(settings: Settings, clock: Clock, stack: AsyncExitStack, *, has_worker: bool) -> Hub:
    """Open the data folder and put the parts together. Whatever is opened is closed when the stack is."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="work"))

    deliveries = Deliveries(loop)

    def deliver(batch: Completed) -> None:
        loop.call_soon_threadsafe(deliveries.receive, batch)

    files = Files(settings.data_folder)
    files.lock()
    stack.callback(files.unlock)
    writer = Writer(files.database, deliver=deliver)
    journal = await asyncio.to_thread(Journal, writer, files)
    for line in journal.open_report:
        _log.error("history_not_intact", detail=line)
    stack.callback(journal.close)
    catalog = Catalog(journal, writer)
    writer.start()
    stack.push_async_callback(partial(asyncio.to_thread, writer.close))
    fetcher = PlaylistFetcher(settings)
    stack.push_async_callback(fetcher.aclose)
    outgoing = Outgoing(settings)
    stack.push_async_callback(outgoing.aclose)
    authority = TokenAuthority(token_key(settings), issuer=settings.token_issuer, keys=read_keys(settings.token_keys))
    maker: Maker = FileMaker(files, journal, catalog, Recall(files, catalog))
    if has_worker:
        maker = worker = Worker(files.root, maker)
        stack.callback(worker.close)
    archive = Archive(files, journal, catalog, writer, maker)
    query = Query(files, journal, catalog)
    query.on_damaged = archive.note_damaged
    metrics = Metrics()
    purging = _purging(
        settings, stack, authority=authority, catalog=catalog, writer=writer, clock=clock, metrics=metrics
    )
    journal.on_read = metrics.journal_reads.inc
    journal.let_turn = Turns(loop).let_turn
    return Hub(
        settings,
        clock=clock,
        files=files,
        writer=writer,
        journal=journal,
        catalog=catalog,
        archiving=Archiving(Store(files, writer, journal, catalog, archive, query), clock),
        reading=Reading(query, journal, settings.data_folder, at_once=settings.limits.heavy_reads_max),
        authority=authority,
        fetcher=fetcher,
        outgoing=outgoing,
        purging=purging,
        metrics=metrics,
        provider_keys=provider_keys_of(settings, outgoing, authority.ring, clock),
    )


def _purging(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    authority: TokenAuthority,
    catalog: Catalog,
    writer: Writer,
    clock: Clock,
    metrics: Metrics,
) -> Purging:
    """What tells the caches that the settings name."""
    hooks = settings.purge
    keys = PurgeKeys(authority.purge_key, {hook.kind for hook in hooks.values()})
    caches = []
    if hooks:
        client = client_to([hook.base_url for hook in hooks.values()])
        stack.push_async_callback(client.aclose)
        kept_us = (settings.limits.slice_cache_s + KEPT_MORE_S) * SECOND_US
        caches = [
            Cache(name, hook, keys=keys, kept_us=kept_us, clock=clock, metrics=metrics, client=client)
            for name, hook in hooks.items()
        ]
    return Purging(caches, keys=keys, catalog=catalog, writer=writer, clock=clock)


class PlayerFiles(StaticFiles):
    """The built player, which any page may embed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A file, with headers that let other pages load it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.headers["Cache-Control"] = "public, max-age=300"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _add_player(app: FastAPI) -> None:
    """Serve the built player, so that one script tag and one element embed a room."""
    folder = player_folder()
    if not folder.is_dir():
        return

    app.mount("/watch-page", watch.PageFiles(), name="watch page")
    app.mount("/player", PlayerFiles(directory=str(folder)), name="player")
