"""Charts of a notebook as pictures that show everywhere: in a notebook, beside its code on a code host, in a file.

Owns: how a chart becomes PNG or SVG without a browser. Does not know: what is charted. Source: libraries §8.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

__all__ = ["Picture"]

_SCALE = 1.2  # pixels for each of the chart's


class Picture:
    """An Altair chart drawn once; what shows notebooks takes it as PNG.

    Attributes:
        chart: of Altair.
    """

    def __init__(self, chart: Any) -> None:
        self.chart = chart
        self._png: bytes | None = None

    def _repr_png_(self) -> bytes:
        """For Jupyter and marimo. Cost: 0.3 s the first time."""
        if self._png is None:
            drawn = io.BytesIO()
            self.chart.save(drawn, format="png", scale_factor=_SCALE)
            self._png = drawn.getvalue()
        return self._png

    def save(self, path: Path) -> None:
        """Write it as what the file's name ends in: ``.png`` or ``.svg``.

        Raises:
            ValueError: another ending.
            OSError: it cannot be written.
        """
        if path.suffix == ".png":
            path.write_bytes(self._repr_png_())
        elif path.suffix == ".svg":
            self.chart.save(str(path), format="svg")
        else:
            raise ValueError(f"{path.name}: a picture is .png or .svg")
