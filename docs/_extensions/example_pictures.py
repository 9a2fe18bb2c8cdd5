"""What the gallery shows of an example: the pictures that it saves.

knotwork's figures are not pyplot's, so Sphinx-Gallery cannot find them by itself.  An example
writes ``out/examples/<its name>.png``, or several ``out/examples/<its name>_<word>.png``.
"""

import builtins
import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "out" / "examples"

# When each picture was written that is already known.
_known: dict[Path, int] = {}


def pictures_of(source: str) -> dict[Path, int]:
    """Return the pictures of an example that are there, and when they were written."""
    name = Path(source).stem
    found = [PICTURES / f"{name}.png", *sorted(PICTURES.glob(f"{name}_*.png"))]
    return {path: path.stat().st_mtime_ns for path in found if path.exists()}


def prepare(_: dict[str, Any], source: str | None) -> None:
    """Before an example runs: tell it where it is; pictures of an earlier run are not its own.

    Sphinx-Gallery gives a script no ``__file__``, by which examples find their data: the name is
    then looked up among the built-in ones.
    """
    if source is not None:
        builtins.__file__ = str(ROOT / "examples" / source)
        _known.update(pictures_of(source))


def scrape(_: Any, variables: dict[str, Any], configuration: dict[str, Any], **__: Any) -> str:
    """After a block of an example: return the reST that shows what the block drew."""
    shown: list[str] = []
    for picture, written in pictures_of(variables["src_file"]).items():
        if _known.get(picture) != written:
            _known[picture] = written
            target = variables["image_path_iterator"].next()
            shutil.copyfile(picture, target)
            shown.append(target)
    return figure_rst(shown, configuration["src_dir"])
