import marimo

app = marimo.App(width="medium", app_title="Highlights")


@app.cell
def _(mo):
    mo.md(
        """
        # Highlights

        *What should be clipped out of a lecture, and how far is chat behind the picture?* The lectures are simulated, so what there is to find is known.
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
    from chatsync.analysis.highlights import DENSITY
    from chatsync.analysis.pictures import Picture
    from chatsync.analysis.plotting import room_chart
    from chatsync.analysis.room_highlights import room_highlights
    from chatsync.demo.classes import term
    from chatsync.demo.term import write_term

    folder = Path("term")  # your data folder, or a copied archive; this one is what `chatsync demo --term term` makes
    if not folder.exists():
        write_term(folder)
    archive = chatsync.open_archive(folder)
    return DENSITY, Picture, alt, archive, mo, pl, room_chart, room_highlights, term


@app.cell
def _(Picture, archive, room_chart):
    Picture(room_chart(archive, "algebra", broadcast=4))
    return


@app.cell
def _(mo):
    mo.md(
        """
        ## How dense chat is

        Each message weighs the less the longer it is, and is spread over the seconds around it. *Where does that stand out?* The stripes are what the simulation
        put into the picture: red something that is too hard, green an experiment that works.
        """
    )
    return


@app.cell
def _(DENSITY, Picture, alt, archive, pl, room_highlights, term):
    found = room_highlights(archive, "algebra", broadcast=4, count=3)
    density = archive.connection.sql(DENSITY).pl().with_columns(minute=pl.col("second") / 60)
    lecture = next(one for one in term(1)[1] if (one.room, one.week) == ("algebra", 3))
    moments = [
        (one.what, one.start_us / 6e7, one.end_us / 6e7) for one in lecture.moments if one.what in {"hard", "amazing"}
    ]
    stripes = (
        alt.Chart(pl.DataFrame(moments, schema=["what", "from", "to"], orient="row"))
        .mark_rect(opacity=0.3)
        .encode(
            x=alt.X("from:Q", title="minute"),
            x2="to",
            color=alt.Color(
                "what:N", scale=alt.Scale(domain=["hard", "amazing"], range=["#e45756", "#54a24b"]), title="picture"
            ),
        )
    )
    line = (
        alt.Chart(density)
        .mark_area(color="#4c78a8", opacity=0.8)
        .encode(x="minute:Q", y=alt.Y("density:Q", title="weight a second"))
    )
    clips = pl.DataFrame(
        {"from": [one.start_s / 60 for one in found.clips], "to": [one.end_s / 60 for one in found.clips]}
    )
    bars = alt.Chart(clips).mark_bar(color="black", height=6).encode(x="from:Q", x2="to", y=alt.value(6))
    Picture(
        (stripes + line + bars).properties(
            width=720, height=200, title="Chat of a lecture; black: clips that were found"
        )
    )
    return found, moments


@app.cell
def _(found, mo, moments):
    best = found.clips[0]
    amazing = next(one for one in moments if one[0] == "amazing")
    mo.md(
        f"""
        **Finding.** The first clip begins at {best.start_s / 60:.1f} min; the experiment worked from {amazing[1]:.1f} to {amazing[2]:.1f}. Chat is {found.lag_s:.0f} s behind
        the picture here, read off how it rises: long enough to see it through, to think and to type.

        **Caveat.** A burst is an answer, not its reason. Look at the clip before you send it round: it may show the moment at which the projector failed.
        """
    )
    return


@app.cell
def _(mo):
    mo.md(
        "## What the lag does\n\n*In how many lectures does the first clip begin with the moment it is about, at most ten seconds before it and two after?* Without a lag, clips begin in the middle of it."
    )
    return


@app.cell
def _(Picture, alt, archive, pl, room_highlights, term):
    late_s = []  # from the start of the moment to the peak of chat
    for one in term(1)[1]:
        [clip] = room_highlights(archive, one.room, broadcast=one.week + 1, count=1, lag_s=0).clips
        [moment] = [each for each in one.moments if each.what == "amazing"]
        late_s.append(clip.peak_s - moment.start_us / 1e6)
    shares = [(lag_s, sum(-10 <= late - lag_s <= 2 for late in late_s) / len(late_s)) for lag_s in range(0, 61, 2)]
    by_lag = pl.DataFrame(shares, schema=["lag_s", "share"], orient="row")
    Picture(
        alt.Chart(by_lag)
        .mark_line(point=True)
        .encode(alt.X("lag_s:Q", title="lag, s"), alt.Y("share:Q", title="of 12 lectures", axis=alt.Axis(format="%")))
        .properties(width=420, height=200, title="First clips that begin with their moment")
    )
    return (by_lag,)


@app.cell
def _(by_lag, mo, pl):
    right = by_lag.filter(pl.col("share") == pl.col("share").max())["lag_s"]
    none = by_lag.filter(pl.col("lag_s") == 0)["share"].item()
    mo.md(
        f"""
        **Finding.** Lags from {right.min()} to {right.max()} s are right for {by_lag["share"].max():.0%} of the lectures, and no lag for {none:.0%}. What to
        count matters less: see the table in docs/analysts.md.

        **Caveat.** These streams are stamped by what was on each author's screen. Where nobody says so, the stream's latency comes on top, and one lag is wrong for most.
        """
    )
    return


if __name__ == "__main__":
    app.run()
