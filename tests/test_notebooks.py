"""Notebooks run, and what is shown beside them on a code host is what they say now."""

from __future__ import annotations

import ast
import html
import importlib.util
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatsync.demo.term import write_term

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
_PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def beside_term(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the term that notebooks find in theirs."""
    folder = tmp_path_factory.mktemp("notebooks")
    write_term(folder / "term")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def _cells(source: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(source.with_suffix(".ipynb").read_text())["cells"]
    return cells


def _words(text: str) -> list[str]:
    """Words and figures without markup, whatever way they were wrapped and set."""
    return re.findall(r"[\w.%]+", html.unescape(re.sub(r"<[^>]*>", " ", text)))


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.stem)
def test_the_exported_notebook_has_the_cells_of_its_source(source: Path) -> None:
    """Each cell of the .ipynb stands in the .py, and there are as many: ``make notebooks`` was run after the last change."""
    code, cells = source.read_text(), _cells(source)
    assert code.count("@app.cell") == len(cells)
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert textwrap.indent(text, "    ", lambda line: line.strip() != "") in code
        else:
            assert " ".join(_words(text)) in " ".join(_words(code.replace("\\n", " ").replace('\\"', '"')))


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.stem)
def test_both_run_and_say_the_same(source: Path, beside_term: Path) -> None:
    """The .py and the .ipynb run on a term made here; every finding and every table of the committed outputs comes out again."""
    del beside_term
    spec = importlib.util.spec_from_file_location(f"notebook_{source.stem}", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs, _ = module.app.run()
    said = [_words(one.text) for one in outputs if hasattr(one, "text")]

    namespace: dict[str, Any] = {}
    shown = drawn = 0
    for cell in _cells(source):
        if cell["cell_type"] != "code":
            continue
        value = _run("".join(cell["source"]), namespace)
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            for media_type, data in output["data"].items():
                shown += 1
                if media_type == "text/markdown":
                    words = _words("".join(data))
                    assert words == _words(value.text)
                    assert words in said
                elif media_type == "image/png":
                    if not drawn:  # one of each notebook is drawn; all are charts that can be
                        assert value._repr_png_().startswith(_PNG)
                    drawn += 1
                    assert value.chart.to_dict()["$schema"]
                else:
                    assert "text/html" == media_type
                    assert _words("".join(data)) == _words(value._repr_html_())
    assert shown >= 4


def _run(code: str, namespace: dict[str, Any]) -> Any:
    """The value of the last expression, as a notebook shows it."""
    tree = ast.parse(code)
    shown = ast.Expression(ast.Constant(None))
    if isinstance(last := tree.body[-1], ast.Expr):
        tree.body.pop()
        shown = ast.Expression(last.value)
    exec(compile(tree, "cell", "exec"), namespace)
    return eval(compile(ast.fix_missing_locations(shown), "cell", "eval"), namespace)
