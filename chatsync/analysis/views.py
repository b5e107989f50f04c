"""The views of an opened archive, as DuckDB's SQL over the columns of its files.

Owns: names, columns and meaning of the views. Does not know: which files there are. Source: contract §6; docs/analysts.md has a table of
each, and a test compares the two.

Instants are TIMESTAMP in UTC, without a zone, so that every tool takes them as they are; lengths are integer µs and say so by ``_us``.
What was hidden is in no view, and neither is a name: ``author_key`` is a pseudonym of the room (or of its course).
"""

from __future__ import annotations

from chatsync.chat.event import MESSAGE_KINDS

__all__ = ["BASES", "UNION", "VIEWS"]

UNION = " UNION ALL BY NAME "
"""Between what is read of files and what is in none; with no file at all, only what comes after it can be asked."""

_SAYS = "(" + ", ".join(f"'{kind}'" for kind in sorted(MESSAGE_KINDS)) + ")"
_HIVE = "hive_partitioning = true, hive_types = {'room': VARCHAR, 'broadcast': INTEGER}"


def _base(tree: str, *instants: str) -> str:
    """Rows of a tree: of its files and of what is in none of them, with instants in UTC."""
    plain = ", ".join(f"make_timestamp(epoch_us({name})) AS {name}" for name in instants)
    replaced = f"* REPLACE (room::VARCHAR AS room, {plain})"
    # The room and broadcast of a file stand in its path, so that files of other rooms are not opened.
    return (
        f"SELECT {replaced} FROM read_parquet(getvariable('{tree}_files'), {_HIVE})"
        f"{UNION}SELECT {replaced} FROM {tree}_tail"
    )


BASES = {
    "events": _base("events", "program_us", "wall_us"),
    "staff": _base("staff", "program_us", "wall_us"),
    "segments": _base("segments", "program_us"),
    "observations": _base("observations", "wall_us", "edge_program_us"),
    "viewers": _base("viewers", "minute_us"),
}
"""Views that read files, by tree. ``staff`` is not one for analysts: what they may know of it is counted in others."""

VIEWS = {
    "recordings": "SELECT * REPLACE (make_timestamp(epoch_us(program_us)) AS program_us) FROM recording_spans",
    "messages": f"""
        SELECT room, broadcast, "offset", kind, program_us, author_key, role, text, reply_to, stamp, uncertainty_us,
               behind_live_us, latency_us, wall_us, source, id, details
        FROM events WHERE kind IN {_SAYS}
    """,
    "broadcasts": f"""
        WITH said AS (
            SELECT room, broadcast, min(program_us) AS first_event_us, max(program_us) AS last_event_us,
                   count(*) FILTER (kind IN {_SAYS}) AS messages,
                   count(DISTINCT author_key) FILTER (kind IN {_SAYS}) AS chatters,
                   count(*) FILTER (kind = 'question') AS questions,
                   count(*) FILTER (kind = 'poll_opened') AS polls,
                   max(details ->> '$.title') FILTER (kind = 'broadcast_opened') AS title
            FROM events GROUP BY ALL
        ), media AS (
            SELECT room, broadcast, min(program_us) AS start_us, max(program_us + to_microseconds(duration_us)) AS end_us,
                   sum(duration_us) FILTER (NOT gap)::BIGINT AS media_us, count(DISTINCT run)::INTEGER AS runs
            FROM segments WHERE program_us IS NOT NULL GROUP BY ALL
        )
        SELECT room, broadcast, title, start_us, end_us, media_us, runs, first_event_us, last_event_us,
               coalesce(messages, 0) AS messages, coalesce(chatters, 0) AS chatters, coalesce(questions, 0) AS questions,
               coalesce(polls, 0) AS polls
        FROM said FULL JOIN media USING (room, broadcast)
    """,
    "minutes": f"""
        WITH said AS (
            SELECT room, broadcast, date_trunc('minute', program_us) AS minute_us,
                   count(*) FILTER (kind IN {_SAYS}) AS messages,
                   count(DISTINCT author_key) FILTER (kind IN {_SAYS}) AS chatters,
                   count(*) FILTER (kind = 'question') AS questions,
                   coalesce(sum((details ->> '$.count')::BIGINT) FILTER (kind = 'reaction'), 0)::BIGINT AS reactions
            FROM events GROUP BY ALL
        ), pieces AS (
            SELECT room, broadcast, program_us AS start_us, program_us + to_microseconds(duration_us) AS end_us,
                   unnest(range(date_trunc('minute', program_us), program_us + to_microseconds(duration_us),
                                INTERVAL 1 MINUTE)) AS minute_us
            FROM segments WHERE program_us IS NOT NULL AND NOT gap
        ), media AS (
            SELECT room, broadcast, minute_us, sum(epoch_us(least(end_us, minute_us + INTERVAL 1 MINUTE))
                       - epoch_us(greatest(start_us, minute_us)))::BIGINT AS media_us
            FROM pieces GROUP BY ALL
        ), lengths AS (
            SELECT room, broadcast, min(minute_us) AS first_us, max(minute_us) AS last_us, bool_or(is_media) AS has_media
            FROM (SELECT room, broadcast, minute_us, false AS is_media FROM said
                  UNION ALL SELECT room, broadcast, minute_us, true FROM media) GROUP BY ALL
        ), every AS (
            SELECT room, broadcast, has_media, unnest(generate_series(first_us, last_us, INTERVAL 1 MINUTE)) AS minute_us
            FROM lengths
        )
        SELECT room, broadcast, minute_us, coalesce(messages, 0) AS messages, coalesce(chatters, 0) AS chatters,
               coalesce(questions, 0) AS questions, coalesce(reactions, 0) AS reactions, viewers,
               CASE WHEN has_media THEN coalesce(media_us, 0) END AS media_us
        FROM every LEFT JOIN said USING (room, broadcast, minute_us) LEFT JOIN media USING (room, broadcast, minute_us)
             LEFT JOIN viewers USING (room, broadcast, minute_us)
    """,
    "questions": """
        WITH answers AS (
            SELECT room, target AS "offset", min(program_us) AS answered_us, arg_min(details ->> '$.how', program_us) AS how
            FROM events WHERE kind = 'question_answered' GROUP BY ALL
        ), replies AS (
            SELECT room, reply_to AS "offset", count(*) AS replies,
                   min(program_us) FILTER (role IN ('host', 'moderator')) AS staff_reply_us
            FROM events WHERE reply_to IS NOT NULL GROUP BY ALL
        ), upvotes AS (
            SELECT room, target AS "offset", count(*) AS upvotes FROM staff WHERE kind = 'question_upvoted' GROUP BY ALL
        )
        SELECT room, broadcast, "offset", program_us, author_key, text, coalesce(upvotes, 0) AS upvotes,
               coalesce(replies, 0) AS replies, staff_reply_us, answered_us, how,
               epoch_us(least(answered_us, staff_reply_us)) - epoch_us(program_us) AS response_us
        FROM (FROM events WHERE kind = 'question') LEFT JOIN answers USING (room, "offset")
             LEFT JOIN replies USING (room, "offset") LEFT JOIN upvotes USING (room, "offset")
    """,
    "polls": """
        WITH closed AS (
            SELECT room, broadcast, details ->> '$.poll' AS poll, min(program_us) AS closed_us,
                   arg_min((details -> '$.tally')::BIGINT[], program_us) AS tally,
                   arg_min((details -> '$.answer')::INTEGER[], program_us) AS answer
            FROM events WHERE kind = 'poll_closed' GROUP BY ALL
        )
        SELECT room, broadcast, poll, "offset", program_us AS opened_us, closed_us, details ->> '$.question' AS question,
               (details -> '$.choices')::VARCHAR[] AS choices,
               coalesce((details ->> '$.multiple')::BOOLEAN, false) AS multiple, answer, tally
        FROM (SELECT *, details ->> '$.poll' AS poll FROM events WHERE kind = 'poll_opened')
             LEFT JOIN closed USING (room, broadcast, poll)
    """,
}
"""Views of views, each with the columns that docs/analysts.md says."""
