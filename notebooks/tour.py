import marimo

app = marimo.App(width="medium", app_title="A tour of the archive")


@app.cell
def _(mo):
    mo.md(
        """
        # A tour of the archive

        *What is in the folder that a relay leaves behind, and how does one ask it?*

        A chatsync archive is Parquet and a catalog. `open_archive` puts DuckDB views over it: no server, nothing is written.
        """
    )
    return


@app.cell
def _():
    from pathlib import Path

    import altair as alt
    import marimo as mo

    import chatsync
    from chatsync.analysis.pictures import Picture
    from chatsync.demo.term import write_term

    folder = Path("term")  # your data folder, or a copied archive; this one is what `chatsync demo --term term` makes
    if not folder.exists():
        write_term(folder)
    archive = chatsync.open_archive(folder)
    return Picture, alt, archive, mo


@app.cell
def _(archive):
    archive.sql(
        "SELECT room, broadcast, title, start_us, messages, chatters, questions, polls FROM broadcasts ORDER BY start_us"
    ).pl()
    return


@app.cell
def _(mo):
    mo.md(
        """
        Two rooms, six lectures each. Every instant is UTC **program time**: the time at which the camera saw what was on screen. `author_key` is a
        pseudonym; names are not in the archive.
        """
    )
    return


@app.cell
def _(archive):
    archive.sql(
        "SELECT program_us, kind, role, author_key[:6] AS author, text, stamp, uncertainty_us FROM messages WHERE room = 'calculus' AND broadcast = 4 "
        'ORDER BY program_us, "offset" LIMIT 12 OFFSET 60'
    ).pl()
    return


@app.cell
def _(mo):
    mo.md("## One lecture, minute by minute\n\n*When did they talk, and where was there no picture?*")
    return


@app.cell
def _(Picture, alt, archive):
    lecture = archive.sql(
        "SELECT minutes.* FROM minutes JOIN broadcasts USING (room, broadcast) WHERE room = 'calculus' AND broadcast = 4 AND minute_us < end_us ORDER BY minute_us"
    ).pl()
    said = (
        alt.Chart(lecture)
        .mark_bar(color="#4c78a8")
        .encode(
            alt.X("minute_us:T", title="program time (UTC)", axis=alt.Axis(format="%H:%M")),
            alt.Y("messages:Q", title="messages a minute"),
        )
    )
    dark = (
        alt.Chart(lecture.filter(lecture["media_us"] < 60_000_000))
        .mark_rect(color="#e45756", opacity=0.25)
        .encode(x="minute_us:T", x2="end_us:T")
        .transform_calculate(end_us="datum.minute_us + 60000")
    )
    Picture(
        (dark + said).properties(
            width=720, height=200, title="Messages a minute; red: minutes in which picture is missing"
        )
    )
    return (lecture,)


@app.cell
def _(lecture, mo):
    missing_s = 60 * lecture.height - lecture["media_us"].sum() / 1e6
    top = lecture.sort("messages", descending=True).row(0, named=True)
    mo.md(
        f"""
        **Finding.** Most was said in the minute from {top["minute_us"]:%H:%M}: {top["messages"]} messages by {top["chatters"]} people.
        The encoder restarted and {missing_s:.0f} s of program time have no picture. The minutes after it are still where they belong: positions
        counted from the start of the recording would be {missing_s:.0f} s off from there on.

        **Caveat.** `media_us` says what the playlist listed, not what everybody saw.
        """
    )
    return


@app.cell
def _(mo):
    mo.md(
        """
        ## A recording is one more column

        *Where in the edited recording is what was said?* Somebody cut the break out; what was said in it is left out, and the rest has its position.
        """
    )
    return


@app.cell
def _(archive):
    recorded = archive.recorded("calculus", "lecture-4")
    recorded.filter("kind = 'question'").project("position_us, program_us, text").limit(5).pl()
    return (recorded,)


@app.cell
def _(archive, mo, recorded):
    [(shown,)] = recorded.aggregate("count(*)").fetchall()
    [(all_of_it,)] = archive.sql("SELECT count(*) FROM messages WHERE room = 'calculus' AND broadcast = 4").fetchall()
    mo.md(
        f"**Finding.** {shown} of {all_of_it} messages are in the recording; the others were said while it shows nothing."
    )
    return


if __name__ == "__main__":
    app.run()
