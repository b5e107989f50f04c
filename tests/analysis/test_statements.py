"""Which SQL is a question."""

from __future__ import annotations

import duckdb
import pytest

from chatsync.analysis.statements import checked_question
from chatsync.errors import QuestionError

QUESTIONS = (
    "SELECT 1",
    "FROM range(3)",
    "VALUES (1)",
    "WITH few AS (SELECT 1) FROM few",
    "DESCRIBE nothing",
    "SHOW TABLES",
    "SUMMARIZE nothing",
    "EXPLAIN SELECT 1",
    "-- why\nSELECT 1;",
)
DEEDS = (
    "",
    ";",
    "SELECT",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO 'out.csv'",
    "COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'out.csv'",
    "/**/ EXPLAIN ANALYZE COPY (SELECT 1) TO 'out.csv'",
    "explain\tanalyse select 1",
    "CREATE TABLE few (one INTEGER)",
    "CREATE MACRO one() AS 1",
    "INSERT INTO few VALUES (1)",
    "DELETE FROM few",
    "ATTACH 'other.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "RESET threads",
    "PRAGMA version",
    "CALL pragma_version()",
    "EXPORT DATABASE 'out'",
    "PREPARE one AS SELECT 1",
    "EXECUTE one",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
)


@pytest.mark.parametrize("text", QUESTIONS)
def test_what_only_asks_passes(text: str) -> None:
    """As it was given."""
    with duckdb.connect() as connection:
        assert text == checked_question(connection, text)


@pytest.mark.parametrize("text", DEEDS)
def test_what_does_something_is_refused(text: str) -> None:
    """Without being run."""
    with duckdb.connect() as connection, pytest.raises(QuestionError):
        checked_question(connection, text)
