"""Which SQL is a question: it reads and changes nothing.

Owns: the allow-list of statements. Does not know: who asks, which functions they may use. Source: security-and-privacy §5.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb

from chatsync.errors import QuestionError

__all__ = ["checked_question"]

_EXPLAIN = re.compile(r"\s*EXPLAIN\b(?!\s*\(?\s*ANALY[SZ]E\b)", re.IGNORECASE)


def checked_question(connection: Any, text: str) -> str:
    """One statement that only asks, as it was given. DESCRIBE, SHOW, SUMMARIZE, FROM, VALUES and WITH are kinds of SELECT.

    Args:
        connection: DuckDB's, whose parser is used: nothing is run.
        text: SQL.

    Raises:
        QuestionError: it is empty, several statements, or does something. ``EXPLAIN ANALYZE`` does what it explains.
    """
    explained = _EXPLAIN.match(text)
    try:
        statements = connection.extract_statements(text[explained.end() :] if explained else text)
    except duckdb.Error as error:
        raise QuestionError(" ".join(str(error).split())) from error
    if len(statements) != 1:
        raise QuestionError("One statement at a time, please.")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise QuestionError(f"Only questions are answered (SELECT, FROM, DESCRIBE, SUMMARIZE, EXPLAIN), no {kind}.")
    return text
