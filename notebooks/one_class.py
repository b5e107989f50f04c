import marimo

app = marimo.App(width="medium", app_title="Engagement of one class")


@app.cell
def _(mo):
    mo.md(
        """
        # Engagement of one class

        *Who took part, when, and who did not?* One lecture of a simulated class; name your own room and broadcast in the first cell.
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
    one = {"room": "algebra", "broadcast": 2}
    return Picture, alt, archive, mo, one, pl


@app.cell
def _(mo):
    mo.md("## Messages and people a minute\n\n*Is it a conversation or a few bursts?*")
    return


@app.cell
def _(Picture, alt, archive, one):
    minutes = archive.sql(
        "SELECT minute_us, messages, chatters, reactions, viewers FROM minutes WHERE room = $room AND broadcast = $broadcast ORDER BY minute_us",
        **one,
    ).pl()
    both = minutes.unpivot(["messages", "chatters"], index="minute_us", variable_name="what", value_name="count")
    Picture(
        alt.Chart(both)
        .mark_line(interpolate="step-after")
        .encode(
            alt.X("minute_us:T", title="program time (UTC)", axis=alt.Axis(format="%H:%M")),
            alt.Y("count:Q", title="a minute"),
            alt.Color("what:N", title=None),
        )
        .properties(width=720, height=200, title="Messages, and different people who wrote them")
    )
    return (minutes,)


@app.cell
def _(minutes, mo):
    busiest = minutes.sort("messages", descending=True).head(3)
    share = busiest["messages"].sum() / minutes["messages"].sum()
    quiet = minutes.filter(minutes["messages"] == 0).height
    mo.md(
        f"""
        **Finding.** Three minutes hold {share:.0%} of all messages; in {quiet} minutes nobody wrote.

        **Caveat.** Fewer people than messages in a burst means the same people wrote several times, not that others looked away.
        """
    )
    return


@app.cell
def _(mo):
    mo.md("## Is it always the same few?\n\n*How evenly are messages shared among those who wrote?*")
    return


@app.cell
def _(Picture, alt, archive, one, pl):
    people = archive.sql(
        "SELECT author_key, count(*) AS messages, min(program_us) AS first_us FROM messages WHERE room = $room AND broadcast = $broadcast "
        "AND role = 'participant' GROUP BY ALL ORDER BY messages, author_key",
        **one,
    ).pl()
    lorenz = pl.concat(
        [
            pl.DataFrame({"people": [0.0], "messages": [0.0]}),
            people.select(
                people=pl.int_range(1, pl.len() + 1) / pl.len(),
                messages=pl.col("messages").cum_sum() / pl.col("messages").sum(),
            ),
        ]
    )
    curve = (
        alt.Chart(lorenz)
        .mark_area(opacity=0.4, line=True)
        .encode(
            alt.X("people:Q", title="share of those who wrote", axis=alt.Axis(format="%")),
            alt.Y("messages:Q", title="share of messages", axis=alt.Axis(format="%")),
        )
    )
    even = alt.Chart(pl.DataFrame({"at": [0, 1]})).mark_line(strokeDash=[4, 4], color="gray").encode(x="at:Q", y="at:Q")
    Picture((curve + even).properties(width=320, height=320, title="Lorenz curve; dashed: all write the same"))
    return (people,)


@app.cell
def _(minutes, mo, people, pl):
    count = people.height
    gini = people.select(
        2 * (pl.int_range(1, pl.len() + 1) * pl.col("messages")).sum() / (pl.len() * pl.col("messages").sum())
        - 1
        - 1 / pl.len()
    ).item()
    present = minutes["viewers"].max()
    silent = 1 - count / present
    top_tenth = people.tail(max(1, count // 10))["messages"].sum() / people["messages"].sum()
    mo.md(
        f"""
        **Finding.** {count} of at most {present} who were there at one time wrote something: {silent:.0%} were silent. Among those who wrote, the Gini
        coefficient is {gini:.2f} (0: all the same; 1: one person only), and the most talkative tenth wrote {top_tenth:.0%}.

        **Caveat.** `viewers` counts connections: one person with two windows counts twice, and a pair at one screen once.
        """
    )
    return


@app.cell
def _(mo):
    mo.md("## How long until somebody writes for the first time?")
    return


@app.cell
def _(Picture, alt, minutes, people, pl):
    start_us = minutes["minute_us"].min()
    firsts = (
        people.select(minute=(pl.col("first_us") - start_us).dt.total_seconds() / 60)
        .sort("minute")
        .with_columns(people=pl.int_range(1, pl.len() + 1))
    )
    Picture(
        alt.Chart(firsts)
        .mark_line(interpolate="step-after")
        .encode(alt.X("minute:Q", title="minutes after the start"), alt.Y("people:Q", title="people who have written"))
        .properties(width=720, height=200, title="Who has spoken at least once")
    )
    return (firsts,)


@app.cell
def _(firsts, mo):
    mo.md(
        f"""
        **Finding.** Half of those who ever wrote had done so after {firsts["minute"].median():.0f} minutes; the last one after {firsts["minute"].max():.0f}.

        **Caveat.** Somebody who came late could not have written earlier: when people joined is counted, not kept by person.
        """
    )
    return


@app.cell
def _(mo):
    mo.md('## Reactions\n\n*What did they feel when?* ❓ is "you lost me".')
    return


@app.cell
def _(Picture, alt, archive, one):
    reactions = archive.sql(
        "SELECT date_trunc('minute', program_us) AS minute_us, details ->> '$.emoji' AS emoji, sum((details ->> '$.count')::BIGINT)::BIGINT AS taps "
        "FROM events WHERE kind = 'reaction' AND room = $room AND broadcast = $broadcast GROUP BY ALL ORDER BY ALL",
        **one,
    ).pl()
    meaning = {"❓": "you lost me", "👏": "applause", "😂": "laughter", "❤": "love"}
    Picture(
        alt.Chart(reactions.with_columns(reactions["emoji"].replace(meaning).alias("meaning")))
        .mark_bar()
        .encode(
            alt.X("minute_us:T", title="program time (UTC)", axis=alt.Axis(format="%H:%M")),
            alt.Y("taps:Q"),
            alt.Color("meaning:N", title=None),
        )
        .properties(width=720, height=160, title="Reactions a minute")
    )
    return (reactions,)


@app.cell
def _(mo, pl, reactions):
    lost = reactions.filter(pl.col("emoji") == "❓").sort("taps", descending=True).row(0, named=True)
    mo.md(
        f"**Finding.** Most were lost at {lost['minute_us']:%H:%M}, with {lost['taps']} taps: look at what was shown then."
    )
    return


@app.cell
def _(mo):
    mo.md("## Retention\n\n*Who stayed?* Viewers by minute, as a share of the most there ever were.")
    return


@app.cell
def _(Picture, alt, minutes, pl):
    kept = minutes.drop_nulls("viewers").with_columns(share=pl.col("viewers") / pl.col("viewers").max())
    Picture(
        alt.Chart(kept)
        .mark_area(opacity=0.5, line=True)
        .encode(
            alt.X("minute_us:T", title="program time (UTC)", axis=alt.Axis(format="%H:%M")),
            alt.Y("share:Q", title="of the most", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        )
        .properties(width=720, height=160, title="Viewers")
    )
    return (kept,)


@app.cell
def _(kept, mo):
    mo.md(
        f"""
        **Finding.** {kept["share"].tail(1).item():.0%} of the most that were there at once were there at the end.

        **Caveat.** Of those who watch the recording nothing is known here: their pages ask for slices that any cache may answer.
        """
    )
    return


if __name__ == "__main__":
    app.run()
