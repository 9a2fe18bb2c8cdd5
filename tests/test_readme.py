import re
import warnings
from pathlib import Path

import pytest

import knotwork
import knotwork.plotting
from knotwork import KAN
from knotwork.edges import Edge

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if "_generated" not in path.parts
)


def blocks_of(text):
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


BLOCKS = blocks_of(README)


def test_the_blocks_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    printed = []
    for number, block in enumerate(BLOCKS, start=1):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(block, f"README.md, block {number}", "exec"), names)
        printed.append(capsys.readouterr().out)
    assert f"```text\n{printed[0]}```" in README
    assert any("exp(b**2 + sin(pi*a))" in text for text in printed)
    files = {path.name for path in tmp_path.iterdir()}
    pictures = {"network.svg", "edge.svg", "history.svg", "inputs.svg"}
    written = {"model.safetensors", "fit.safetensors", "model.onnx", "log", "explanation.html"}
    assert files == pictures | written


def blocks_and_outputs(text):
    """Yield each block, and what the page says that it prints; None if it does not say."""
    pattern = r"^```python\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?"
    for match in re.finditer(pattern, text, flags=re.DOTALL | re.MULTILINE):
        yield match.groups()


def test_outputs_are_found_behind_their_blocks():
    page = "```python\na\n```\n\n```text\n1\n```\n\n```python\nb\n```\n\nWords\n\n```text\n2\n```\n"
    assert list(blocks_and_outputs(page)) == [("a\n", "1\n"), ("b\n", None)]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of((ROOT / page).read_text())])
def test_the_blocks_of_every_page_run_and_print_what_it_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, text = {}, (ROOT / page).read_text(encoding="utf-8")
    for number, (block, output) in enumerate(blocks_and_outputs(text), start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)
        printed = capsys.readouterr().out
        assert output in (None, printed), f"{page}, block {number}"


def test_what_pykans_methods_are_called_here_is_there():
    """Every name that the right column gives as code of a KAN's exists."""
    page = (ROOT / "docs" / "pykan.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("| `")]
    calls = {name for row in rows for name in re.findall(r"`(?:model\.)?(\w+)\(", row)}
    places = (KAN, KAN([1, 1]).layer(0), knotwork, knotwork.plotting, Edge)
    missing = {name for name in calls if not any(hasattr(place, name) for place in places)}
    assert missing <= {"evalf", "model"}, missing


def test_the_first_result_takes_ten_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) == 10


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *PAGES])
def test_links_lead_to_files_that_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert all(((ROOT / name).parent / target).exists() for target in targets)


def test_the_picture_is_small():
    assert 0 < (ROOT / "docs" / "images" / "introduction.png").stat().st_size < 200_000
