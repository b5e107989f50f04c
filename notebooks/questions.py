import marimo

app = marimo.App(width="medium", app_title="Questions and answers")


@app.cell
def _(mo):
    mo.md(
        """
        # Questions and answers

        *What did they ask, how soon did it get an answer, and what was left open?*
        """
    )
    return


@app.cell
def _():
    from pathlib import Path

    import altair as alt
    import marimo as mo
    import polars as pl

    import chatsync
    from chatsync.analysis.pictures import Picture
    from chatsync.demo.term import write_term

    folder = Path("term")  # your data folder, or a copied archive; this one is what `chatsync demo --term term` makes
    if not folder.exists():
        write_term(folder)
    archive = chatsync.open_archive(folder)
    return Picture, alt, archive, mo, pl


@app.cell
def _(mo):
    mo.md(
        """
        ## What counts as a question?

        Some are asked as questions (kind `question`, with upvotes and an answer). Others stand in the chat and only end in a question mark; "???" and "what?"
        do too, and are none. At least four words, one of them a question word or an auxiliary, is a rule that errs on the careful side.
        """
    )
    return


@app.cell
def _(archive):
    found = archive.sql(
        r"""
        SELECT room, broadcast, program_us, kind, text,
               kind = 'question' OR (regexp_matches(text, '[?؟]\s*$') AND len(string_split(trim(text), ' ')) >= 4
                   AND regexp_matches(lower(text), '\b(how|why|what|when|where|which|who|can|could|do|does|did|is|are|should|would)\b')) AS asks
        FROM messages WHERE role = 'participant' AND text LIKE '%?%'
        """
    ).pl()
    found.group_by("kind", "asks").len("messages").sort("kind", "asks")
    return (found,)


@app.cell
def _(found, mo, pl):
    asked = found.filter(pl.col("kind") == "question").height
    beside = found.filter((pl.col("kind") == "message") & pl.col("asks")).height
    mo.md(
        f"""
        **Finding.** Beside {asked} questions asked as such, {beside} messages read like one. Whoever counts only the former misses {beside / (asked + beside):.0%}.

        **Caveat.** The rule knows English. For other languages a word list of their own is needed; the mark `؟` alone is not enough.
        """
    )
    return


@app.cell
def _(mo):
    mo.md(
        "## How long did an answer take?\n\nFrom the question to the first reply of a host, or to being marked as answered aloud."
    )
    return


@app.cell
def _(Picture, alt, archive):
    questions = archive.sql("SELECT *, response_us / 1e6 AS response_s FROM questions ORDER BY program_us").pl()
    answered = questions.drop_nulls("response_s")
    Picture(
        alt.Chart(answered)
        .mark_bar()
        .encode(
            alt.X("response_s:Q", bin=alt.Bin(step=20), title="seconds until an answer"),
            alt.Y("count()", title="questions"),
            alt.Color("room:N"),
        )
        .properties(width=720, height=200, title="Response time")
    )
    return answered, questions


@app.cell
def _(answered, mo, questions):
    median_s = answered["response_s"].median()
    p90_s = answered["response_s"].quantile(0.9)
    mo.md(
        f"""
        **Finding.** {answered.height} of {questions.height} questions got an answer, half of them within {median_s:.0f} s, nine of ten within {p90_s:.0f} s.

        **Caveat.** Answers that nobody marked and that were only spoken look like none. A median of those that were answered flatters: what was never answered is not in it.
        """
    )
    return


@app.cell
def _(mo):
    mo.md("## When in a lecture are questions left open?")
    return


@app.cell
def _(Picture, alt, archive):
    placed = archive.sql(
        """
        SELECT q.room || ' ' || q.broadcast AS lecture, epoch_us(q.program_us - b.start_us) / 6e7 AS minute, q.upvotes,
               CASE WHEN q.response_us IS NULL THEN 'left open' ELSE 'answered' END AS became
        FROM questions AS q JOIN broadcasts AS b USING (room, broadcast)
        """
    ).pl()
    Picture(
        alt.Chart(placed)
        .mark_point(filled=True, opacity=0.8)
        .encode(
            alt.X("minute:Q", title="minute of the lecture"),
            alt.Y("lecture:N", title=None),
            alt.Color(
                "became:N", title=None, scale=alt.Scale(domain=["answered", "left open"], range=["#54a24b", "#e45756"])
            ),
            alt.Size("upvotes:Q"),
        )
        .properties(width=640, height=280, title="Every question of the term")
    )
    return (placed,)


@app.cell
def _(mo, pl, placed):
    open_share = (
        placed.group_by("lecture")
        .agg(open=(pl.col("became") == "left open").mean(), asked=pl.len())
        .sort("open", "lecture", descending=[True, False])
    )
    worst = open_share.filter(pl.col("asked") >= 5).row(0, named=True)
    mo.md(
        f"**Finding.** In {worst['lecture']} {worst['open']:.0%} of {worst['asked']} questions were left open, more than in any other with at least five."
    )
    return


@app.cell
def _(mo):
    mo.md("## What to answer at the beginning of the next class\n\nOpen questions that most wanted an answer to.")
    return


@app.cell
def _(questions, pl):
    questions.filter(pl.col("response_us").is_null()).sort("upvotes", "program_us", descending=[True, False]).select(
        "room", "broadcast", "program_us", "upvotes", "text"
    ).head(8)
    return


if __name__ == "__main__":
    app.run()
