import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


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
    pictures = {"network.svg", "edge.svg", "history.svg"}
    assert files == pictures | {"model.safetensors", "model.onnx", "log"}


def test_the_first_result_takes_ten_lines():
    lines = [line for line in BLOCKS[0].splitlines() if line]
    assert len(lines) == 10


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files_that_are_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert all((ROOT / target).exists() for target in targets)


def test_the_picture_is_small():
    assert 0 < (ROOT / "docs" / "images" / "introduction.png").stat().st_size < 200_000
