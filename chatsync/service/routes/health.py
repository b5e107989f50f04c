"""Whether the relay lives and is ready, and what it counts. No token, no names, nothing of a room's content."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from fastapi import APIRouter, Request, Response

from chatsync.errors import NotFoundError
from chatsync.service.loop_lag import LoopLag
from chatsync.service.routes.entry import hub_of
from chatsync.service.routes.messages import no_store

__all__ = ["is_local", "router"]

router = APIRouter(tags=["health"])

_LOOPBACK = frozenset({"127.0.0.1", "::1"})


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine, and through no proxy."""
    return request.client is not None and request.client.host in _LOOPBACK and "x-forwarded-for" not in request.headers


@router.get("/livez", summary="Is the process alive")
async def livez() -> Response:
    """Answers as long as the event loop turns."""
    return no_store({"live": True})


@router.get("/readyz", summary="Is the relay ready")
async def readyz(request: Request) -> Response:
    """200 when posting is possible; else 503 with what fails. An origin that is down is listed and does not fail it."""
    hub = hub_of(request)
    failing = []
    if hub.is_stopping:
        failing.append("stopping")
    if hub.writer.trouble is not None:
        failing.append(hub.writer.trouble)
        hub.probe_disk()
    origins = {room: r.live.playlist_trouble for room, r in hub.rooms.items() if r.live.playlist_trouble is not None}
    alarms = Counter(r.live.alarm.cause for r in hub.rooms.values() if r.live.alarm.cause is not None)
    body: dict[str, Any] = {
        "ready": not failing,
        "failing": failing,
        "origins_down": len(origins),
        "sync_alarms": dict(sorted(alarms.items())),
        "durability": "fsync",
    }
    lag: LoopLag = request.app.state.loop_lag
    if lag.is_bad:
        body["loop_lag_ms"] = round(lag.tail_s() * 1000)
    return no_store(body, status=503 if failing else 200)


@router.get("/metrics", summary="What the relay counts", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Prometheus' text format, for this machine only: a metric names rooms."""
    if not is_local(request):
        raise NotFoundError("page")
    counted = hub_of(request).metrics
    counted.tasks.set(len(asyncio.all_tasks()))
    body = counted.exposition()
    return Response(body, media_type="text/plain; version=0.0.4", headers={"Cache-Control": "no-store"})
