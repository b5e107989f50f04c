import marimo

app = marimo.App(width="medium", app_title="Comparing a term's lectures")


@app.cell
def _(mo):
    mo.md(
        """
        # Comparing a term's lectures

        *Who came back, and did it go better from week to week?* The rooms `calculus` and `algebra` name the same course, so the same person has the same
        pseudonym in both.
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
    mo.md("## Cohorts\n\n*Of those who first wrote in lecture n, how many wrote in lecture m?*")
    return


@app.cell
def _(Picture, alt, archive):
    cohorts = archive.sql(
        """
        WITH spoke AS (SELECT DISTINCT room, broadcast, author_key FROM messages WHERE role = 'participant'),
        firsts AS (SELECT room, author_key, min(broadcast) AS first FROM spoke GROUP BY ALL),
        sizes AS (SELECT room, first, count(*) AS people FROM firsts GROUP BY ALL)
        SELECT room, first, broadcast, people, count(*) AS came, count(*) / people AS share
        FROM spoke JOIN firsts USING (room, author_key) JOIN sizes USING (room, first)
        GROUP BY room, first, broadcast, people ORDER BY ALL
        """
    ).pl()
    cells = alt.Chart(cohorts).encode(
        alt.X("broadcast:O", title="lecture"), alt.Y("first:O", title="first wrote in lecture")
    )
    Picture(
        alt.layer(
            cells.mark_rect().encode(
                alt.Color("share:Q", title="share", scale=alt.Scale(domain=[0, 1], scheme="blues"))
            ),
            cells.mark_text().encode(
                text="came:Q", color=alt.condition(alt.datum.share > 0.6, alt.value("white"), alt.value("black"))
            ),
        )
        .properties(width=300, height=220)
        .facet(column=alt.Column("room:N", title="People of each cohort who wrote again"))
    )
    return (cohorts,)


@app.cell
def _(cohorts, mo, pl):
    first = cohorts.filter((pl.col("first") == 1) & (pl.col("broadcast") == 6))
    mo.md(
        "**Finding.** "
        + " ".join(
            f"Of {row['people']} who wrote in the first lecture of {row['room']}, {row['came']} did in the sixth."
            for row in first.to_dicts()
        )
        + "\n\n**Caveat.** This counts who wrote, not who watched: a listener who never writes is in no cohort."
    )
    return


@app.cell
def _(mo):
    mo.md("## The same people in both rooms\n\n*Are those who talk in one class those who talk in the other?*")
    return


@app.cell
def _(Picture, alt, archive):
    pairs = archive.sql(
        """
        SELECT author_key, count(*) FILTER (room = 'calculus') AS calculus, count(*) FILTER (room = 'algebra') AS algebra
        FROM messages WHERE role = 'participant' GROUP BY ALL ORDER BY ALL
        """
    ).pl()
    Picture(
        alt.Chart(pairs)
        .mark_circle(size=70, opacity=0.6)
        .encode(alt.X("calculus:Q", title="messages in calculus"), alt.Y("algebra:Q", title="messages in algebra"))
        .properties(width=320, height=320, title="One dot a person")
    )
    return (pairs,)


@app.cell
def _(mo, pairs, pl):
    in_both = pairs.filter((pl.col("calculus") > 0) & (pl.col("algebra") > 0)).height
    rank = pairs.select(pl.corr("calculus", "algebra", method="spearman")).item()
    mo.md(
        f"""
        **Finding.** {in_both} of {pairs.height} wrote in both rooms; who writes much in one does in the other (rank correlation {rank:.2f}).

        **Caveat.** Without `course` in the rooms' settings the same person has another pseudonym in each room, and this cannot be asked.
        """
    )
    return


@app.cell
def _(mo):
    mo.md("## From week to week")
    return


@app.cell
def _(Picture, alt, archive, pl):
    weeks = archive.sql(
        """
        SELECT room, broadcast, viewers, chatters / viewers AS spoke_share, answered_share
        FROM broadcasts
             JOIN (SELECT room, broadcast, max(viewers) AS viewers FROM viewers GROUP BY ALL) USING (room, broadcast)
             JOIN (SELECT room, broadcast, count(response_us) / count(*) AS answered_share FROM questions GROUP BY ALL) USING (room, broadcast)
        ORDER BY ALL
        """
    ).pl()
    names = {
        "viewers": "most viewers",
        "spoke_share": "share who wrote",
        "answered_share": "share of questions answered",
    }
    lines = weeks.unpivot(
        list(names), index=["room", "broadcast"], variable_name="what", value_name="value"
    ).with_columns(pl.col("what").replace(names))
    Picture(
        alt.Chart(lines)
        .mark_line(point=True)
        .encode(alt.X("broadcast:O", title="lecture"), alt.Y("value:Q", title=None), alt.Color("room:N"))
        .properties(width=220, height=180)
        .facet(column=alt.Column("what:N", title=None))
        .resolve_scale(y="independent")
    )
    return (weeks,)


@app.cell
def _(mo, pl, weeks):
    by_room = (
        weeks.sort("broadcast")
        .group_by("room", maintain_order=True)
        .agg(pl.col("viewers").first().alias("first"), pl.col("viewers").last().alias("last"))
        .sort("room")
    )
    mo.md(
        "**Finding.** "
        + " ".join(
            f"{row['room'].title()} went from {row['first']} viewers to {row['last']}." for row in by_room.to_dicts()
        )
        + "\n\n**Caveat.** Six points make no trend. Look at what differed between the lectures before at the slope."
    )
    return


@app.cell
def _(mo):
    mo.md(
        "## Did the explanation help?\n\n*The same kind of question was asked by a poll before and after it was explained.*"
    )
    return


@app.cell
def _(Picture, alt, archive):
    polls = archive.sql(
        """
        SELECT room, broadcast, row_number() OVER (PARTITION BY room, broadcast ORDER BY opened_us) AS number,
               list_sum(tally)::BIGINT AS votes, list_sum(list_transform(answer, lambda one: tally[one + 1]))::BIGINT AS right_votes
        FROM polls ORDER BY ALL
        """
    ).pl()
    polls = polls.with_columns(
        (polls["right_votes"] / polls["votes"]).alias("right_share"),
        polls["number"].replace_strict({1: "before", 2: "after"}).alias("asked"),
    )
    Picture(
        alt.Chart(polls)
        .mark_line(point=True)
        .encode(
            alt.X("asked:N", sort=["before", "after"], title=None, axis=alt.Axis(labelAngle=0)),
            alt.Y("right_share:Q", title="right", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            alt.Color("room:N"),
            alt.Detail("broadcast:N"),
        )
        .properties(width=220, height=260, title="Share of right votes, a line a lecture")
    )
    return (polls,)


@app.cell
def _(mo, pl, polls):
    share = dict(polls.group_by("asked").agg(pl.col("right_votes").sum() / pl.col("votes").sum()).iter_rows())
    gain = (
        polls.pivot("asked", index=["room", "broadcast"], values="right_share")
        .select((pl.col("after") > pl.col("before")).sum())
        .item()
    )
    mo.md(
        f"""
        **Finding.** {share["before"]:.0%} of the votes were right before and {share["after"]:.0%} after; it rose in {gain} of 12 lectures.

        **Caveat.** The two polls are about different things, and votes are not kept by person: who changed their mind cannot be seen.
        """
    )
    return


if __name__ == "__main__":
    app.run()
