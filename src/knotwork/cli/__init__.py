"""The command line, ``knotwork``; it needs the extra packages of ``knotwork[cli]``."""

import sys
from importlib.util import find_spec
from typing import Any


def main() -> None:
    """Run the command line, or say in one line what it is missing."""
    try:
        app = loaded()
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped.\n")
        sys.exit(130)
    app(prog_name="knotwork")


def loaded() -> Any:
    """Return the group of commands; exit if packages are missing."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.exit(
            f'knotwork: the command line needs {" and ".join(missing)}: pip install "knotwork[cli]"'
        )
    from .app import app

    return app
