"""How the library is built: what imports what, and what library code must not do."""

import ast
from pathlib import Path

import pytest

import knotwork

ROOT = Path(knotwork.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
# These stand on top of the house: they use the public names, and talk to people.
TOP = {ROOT / name for name in ("cli", "cli.py", "studio", "studio.py")}

every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def on_top(path):
    return bool(TOP & {path, *path.parents})


def is_type_checking(test):
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def imports_at_import_time(body):
    """Yield the import statements that run when the module is imported."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from imports_at_import_time(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "handlers", "finalbody"):
                yield from imports_at_import_time(getattr(node, field, []))


def imported_modules(name, source, package, modules):
    """Return the modules of the library that a module imports at import time."""
    found = set()
    for node in imports_at_import_time(ast.parse(source).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = node.module or ""
        if node.level:
            start = name if package else name.rpartition(".")[0]
            parents = start.split(".")[: len(start.split(".")) - node.level + 1]
            base = ".".join([*parents, *([base] if base else [])])
        submodules = {f"{base}.{alias.name}" for alias in node.names} & modules
        # From a package that is only opened for its submodules nothing else is needed.
        found |= submodules
        if len(submodules) < len(node.names):
            found.add(base)
    return (found & modules) - {name}


def find_cycle(graph):
    """Return a cycle as a list of names, first and last the same, or None."""
    done, trail = set(), []

    def visit(name):
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        trail.append(name)
        for other in sorted(graph[name]):
            cycle = visit(other)
            if cycle:
                return cycle
        done.add(trail.pop())
        return None

    return next((cycle for cycle in map(visit, sorted(graph)) if cycle), None)


def library_graph():
    return {
        name: imported_modules(name, path.read_text(), path.name == "__init__.py", MODULES.keys())
        for name, path in MODULES.items()
    }


def test_imports_are_read_as_python_reads_them():
    source = """
from typing import TYPE_CHECKING
import knotwork.data
from . import splines
from .training import fit
from .training.loop import Loop
from .. import nothing
if TYPE_CHECKING:
    from .late import Type
try:
    from .optional import thing
except ImportError:
    pass
class A:
    from .inside import thing
def door():
    from .lazy import thing
"""
    names = ("data", "splines", "training", "training.loop", "late", "optional", "inside", "lazy")
    modules = {"knotwork", *(f"knotwork.{name}" for name in names)}
    found = imported_modules("knotwork.network", source, False, modules)
    expected = {"data", "splines", "training", "training.loop", "optional", "inside"}
    assert found == {f"knotwork.{name}" for name in expected}
    inside = imported_modules("knotwork.training", "from .loop import a", True, modules)
    assert inside == {"knotwork.training.loop"}
    above = imported_modules("knotwork.training.loop", "from ..data import a", False, modules)
    assert above == {"knotwork.data"}


def test_cycles_are_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_no_module_imports_itself_by_a_detour():
    graph = library_graph()
    assert graph["knotwork.network"], "no import was found at all"
    cycle = find_cycle(graph)
    assert cycle is None, " -> ".join(cycle)


LAYERS = [
    ("knots", "nodes", "residuals", "functions", "data"),
    ("splines",),
    ("kernels",),
    ("layers",),
    ("network",),
    ("edges", "statistics", "mlp"),
    ("sparsity", "training", "io"),
    ("symbolic", "plotting", "compare", "export"),
    ("notebook",),
]


def test_arrows_point_down_only():
    """A module imports from those below it in the house, never from those above."""
    height = {name: index for index, names in enumerate(LAYERS) for name in names}
    wrong = []
    for name, imported in library_graph().items():
        place = name.split(".")[1:2]
        for other in imported:
            target = other.split(".")[1:2]
            if place and target and place != target:
                low, high = height.get(target[0], -1), height.get(place[0], len(LAYERS))
                if low > high:
                    wrong.append(f"{name} imports {other}")
    assert not wrong


def test_the_public_list_is_imported_from_the_top_only():
    users = [name for name, imported in library_graph().items() if "knotwork" in imported]
    assert not [name for name in users if not on_top(MODULES[name])]


@every_file
def test_no_bare_except_star_import_or_print(path):
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            wrong.append(f"bare except in line {node.lineno}")
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            wrong.append(f"star import in line {node.lineno}")
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if called and node.func.id == "print" and not on_top(path):
            wrong.append(f"print in line {node.lineno}")
        if called and node.func.id in {"eval", "exec"}:
            wrong.append(f"{node.func.id} in line {node.lineno}")
    assert not wrong


@every_file
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
