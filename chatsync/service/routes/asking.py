"""``POST …/query``: a question in SQL about a room. Source: security-and-privacy §5.

Owns: the body. Does not know: SQL, processes.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chatsync.service.limit_table import QUERY_CHARACTERS_MAX, QUERY_ROWS_MAX
from chatsync.service.routes.entry import allowed, entry, people_min

__all__ = ["router"]

router = APIRouter(prefix="/v1/rooms/{room}", tags=["finding"])


class QueryBody(BaseModel):
    """A question, and how many rows of the answer are wanted."""

    model_config = ConfigDict(extra="forbid")

    sql: Annotated[str, Field(min_length=1, max_length=QUERY_CHARACTERS_MAX)]
    limit: Annotated[int, Field(ge=1, le=QUERY_ROWS_MAX)] = 1_000


@router.post("/query", summary="A question in SQL")
async def post_query(request: Request, room: str, body: QueryBody) -> Response:
    """One statement that only asks, over the views of docs/analysts.md, of this room alone."""
    entered = allowed(await entry(request, room), "query")
    told = await entered.hub.reading.asker.ask(
        room, body.sql, rows=body.limit, people_min=people_min(entered), person=entered.identity.subject
    )
    return Response(told, media_type="application/json", headers={"Cache-Control": "private, no-store"})
