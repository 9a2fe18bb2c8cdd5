"""Every public name has its place in the reference, and one only."""

import importlib
import re
from pathlib import Path

import knotwork

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
# Packages that are not for users: the command line has a page of its own.
INTERNAL = {"cli", "kernels"}
# Their public names are those in `__all__`.
MODULES = ("callbacks",)


def exported(source):
    """Return what a package hands on: names imported as themselves."""
    return [
        name for name, same in re.findall(r"import (\w+) as (\w+)$", source, re.M) if name == same
    ]


def public_names():
    """Yield every public object by one of its names, from the package and its subpackages."""
    estimators = ["FormulaRegressor", "KANClassifier", "KANRegressor"]
    root = Path(knotwork.__file__).parent
    for name in [*exported((root / "__init__.py").read_text()), *estimators]:
        yield f"knotwork.{name}"
    for package in sorted(path.parent for path in root.glob("*/__init__.py")):
        if package.name not in INTERNAL:
            for name in exported((package / "__init__.py").read_text()):
                yield f"knotwork.{package.name}.{name}"
    for module in MODULES:
        for name in importlib.import_module(f"knotwork.{module}").__all__:
            yield f"knotwork.{module}.{name}"


def resolved(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def documented():
    pages = [page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md"))]
    return [name for page in pages for name in re.findall(r"^   (knotwork\.[\w.]+)$", page, re.M)]


def test_exported_names_are_those_imported_as_themselves():
    source = "from .a import B as B\nfrom .c import D as _D\nfrom .e import F\n"
    assert exported(source) == ["B"]


def test_every_public_name_is_in_the_reference():
    places = {id(resolved(name)) for name in documented()}
    missing = [name for name in public_names() if id(resolved(name)) not in places]
    assert not missing, "put these on a page of docs/reference"


def test_no_object_is_in_the_reference_twice():
    objects = {}
    for name in documented():
        objects.setdefault(id(resolved(name)), []).append(name)
    assert not [names for names in objects.values() if len(names) > 1]
