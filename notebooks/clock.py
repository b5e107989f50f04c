import marimo

app = marimo.App(width="medium", app_title="Stream clock and latency")


@app.cell
def _(mo):
    mo.md(
        """
        # Stream clock and latency

        *How late is the picture, how well is it known, and what would go wrong if nobody looked?*
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
    one = {"room": "calculus", "broadcast": 4}
    return Picture, alt, archive, mo, one, pl


@app.cell
def _(mo):
    mo.md(
        """
        ## The live edge

        Each reload of the playlist says how far the stream has come. Wall time less the edge's program time is the **lag** of the origin; a line that
        stays level is a healthy stream, a step is a restart or a clock that was set.
        """
    )
    return


@app.cell
def _(Picture, alt, archive, one):
    reloads = archive.sql(
        "SELECT wall_us, edge_program_us, (epoch_us(wall_us) - age_us - epoch_us(edge_program_us)) / 1e6 AS lag_s, age_us > 0 AS from_cache "
        "FROM observations WHERE room = $room AND broadcast = $broadcast AND edge_program_us IS NOT NULL ORDER BY wall_us",
        **one,
    ).pl()
    Picture(
        alt.Chart(reloads)
        .mark_point(size=8, filled=True)
        .encode(
            alt.X("wall_us:T", title="wall time (UTC)", axis=alt.Axis(format="%H:%M")),
            alt.Y("lag_s:Q", title="lag of the live edge, s"),
            alt.Color("from_cache:N", title="from a cache"),
        )
        .properties(width=720, height=200, title="One dot a reload")
    )
    return (reloads,)


@app.cell
def _(mo, pl, reloads):
    waits = reloads.select(pl.col("edge_program_us").diff().dt.total_milliseconds() / 1000).to_series().drop_nulls()
    mo.md(
        f"""
        **Finding.** The edge is {reloads["lag_s"].median():.2f} s behind the wall clock in the median, {reloads["lag_s"].quantile(0.95):.2f} s or more in 5 % of reloads. Once
        it went on by {waits.max():.0f} s of program time from one segment to the next, where {waits.median():.0f} are usual: there is no media for that.

        **Caveat.** A lag is against the encoder's clock. If that is wrong by a minute all the same, everything here is level, and a minute off.
        """
    )
    return


@app.cell
def _(mo):
    mo.md(
        "## How late do people watch?\n\nA player that says what is on its screen tells how far behind live its viewer is."
    )
    return


@app.cell
def _(Picture, alt, archive):
    behind = archive.sql(
        "SELECT stamp, uncertainty_us / 1e6 AS uncertainty_s, (epoch_us(wall_us) - epoch_us(program_us)) / 1e6 AS behind_s FROM messages WHERE role = 'participant'"
    ).pl()
    Picture(
        alt.Chart(behind)
        .mark_bar()
        .encode(
            alt.X("behind_s:Q", bin=alt.Bin(step=1), title="seconds from the camera to the message"),
            alt.Y("count()", title="messages"),
            alt.Color("stamp:N"),
        )
        .properties(width=720, height=200, title="Latency of those who wrote, by how their message was stamped")
    )
    return (behind,)


@app.cell
def _(behind, mo, pl):
    spread = behind.filter(pl.col("stamp") == "playhead")["behind_s"]
    shares = dict(behind.group_by("stamp").agg(pl.len() / behind.height).iter_rows())
    mo.md(
        f"""
        **Finding.** {shares["playhead"]:.0%} of the messages are stamped by what was on their author's screen. Those authors are between {spread.quantile(0.05):.0f} and
        {spread.quantile(0.95):.0f} s behind the camera: no single delay is right for all of them. The other {shares["estimate"]:.0%} come from players that do not say;
        they are placed by the room's latency, which is why they make one bar.

        **Caveat.** An estimate is as uncertain as the spread of the others: `uncertainty_us` says so in each row.
        """
    )
    return


@app.cell
def _(mo):
    mo.md(
        """
        ## What seconds since the start would have done

        Most replays keep "seconds since recording began" by the server's clock. *How far off would each message be from the picture it is about?* Against program
        time, by the recording's own map of positions.
        """
    )
    return


@app.cell
def _(Picture, alt, archive, one, pl):
    [(start_us,)] = archive.sql(
        "SELECT epoch_us(start_us) FROM broadcasts WHERE room = $room AND broadcast = $broadcast", **one
    ).fetchall()
    shown = (
        archive.recorded(one["room"], f"lecture-{one['broadcast']}")
        .filter("role = 'participant' AND stamp = 'playhead'")
        .project("position_us / 6e7 AS minute, epoch_us(wall_us) AS wall, position_us")
        .pl()
    )
    errors = shown.select("minute", off_s=(pl.col("wall") - start_us - pl.col("position_us")) / 1e6)
    Picture(
        alt.Chart(errors)
        .mark_point(size=14, filled=True, color="#e45756")
        .encode(
            alt.X("minute:Q", title="minute of the recording"),
            alt.Y("off_s:Q", title="seconds off", scale=alt.Scale(domainMin=0)),
        )
        .properties(width=720, height=220, title="Error of a replay that counts seconds from the start")
    )
    return (errors,)


@app.cell
def _(errors, mo):
    early, late = (
        errors.filter(errors["minute"] < 15)["off_s"].median(),
        errors.filter(errors["minute"] > 30)["off_s"].median(),
    )
    mo.md(
        f"""
        **Finding.** In the first quarter of an hour such a replay is {early:.0f} s off in the median, by latency alone. After the restart and the cut it is {late:.0f} s off,
        and it stays so to the end. With program time each of these messages is within 40 ms.

        **Caveat.** Somebody could correct the offset by hand, once for each cut. That is what program time saves.
        """
    )
    return


if __name__ == "__main__":
    app.run()
