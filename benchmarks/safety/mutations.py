"""Ways of damaging a file, by accident or by intent, each repeatable from its seed."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from knotwork import _checkpoint_file as checkpoint_file

# What would leave a trace if anything executed it.
CANARY = "knotwork-canary"
_PICKLE = b"cposix\nsystem\n(S'touch " + CANARY.encode() + b"'\ntR."
_CODE = (
    f"__import__('os').system('touch {CANARY}')",
    f"open('{CANARY}', 'w')",
    f"(lambda: open('{CANARY}','w'))()",
    f"x.__class__.__base__.__subclasses__()[0]('{CANARY}')",
    f"exec(\"open('{CANARY}','w')\")",
    f"!!python/object/apply:os.system ['touch {CANARY}']",
    f'=cmd|"/c touch {CANARY}"!A1',
)


def mutate(content: bytes, ending: str, seed: str) -> bytes:
    """Return a damaged copy of a file's content."""
    chance = random.Random(seed)
    return chance.choice(_BY_ENDING[ending])(content, chance)


# -- bytes ---------------------------------------------------------------------------------------


def _flip_bits(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _cut(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] if chance.random() < 0.7 else content[place:]


def _splice(content: bytes, chance: random.Random) -> bytes:
    source, place = chance.randrange(len(content)), chance.randrange(len(content))
    length = chance.choice((1, 4, 16, 100, 1000))
    inserted = chance.random() < 0.5
    return (
        content[:place]
        + content[source : source + length]
        + content[place + length * (not inserted) :]
    )


def _strange_bytes(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    payload = chance.choice(
        (
            b"\0" * chance.choice((1, 7, 5000)),
            b"\xff" * 8,
            chance.randbytes(chance.choice((1, 8, 300))),
            _PICKLE,
            chance.choice(_CODE).encode(),
            "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}ß١٢".encode(),
            "µ°".encode("latin-1"),
            b"\xef\xbb\xbf",
        )
    )
    over = len(payload) if chance.random() < 0.5 else 0
    return content[:place] + payload + content[place + over :]


def _another_file(content: bytes, chance: random.Random) -> bytes:
    return chance.choice(
        (b"", _PICKLE, b"PK\x03\x04" + content, b"\x93NUMPY" + content, content + content, b"{}")
    )


_BYTES = [_flip_bits, _flip_bits, _cut, _splice, _strange_bytes, _another_file]


# -- JSON ----------------------------------------------------------------------------------------

_VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 0,
    lambda: 2,
    lambda: 10**15,
    lambda: 2**63,
    lambda: 10**400,
    lambda: -(2**31),
    lambda: 0.5,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: 1e308,
    lambda: "",
    lambda: "1e999",
    lambda: "9" * 399,
    lambda: "-0",
    lambda: "nan",
    lambda: "x" * 100_000,
    lambda: "\ud800",
    lambda: "\0",
    lambda: "sin",
    lambda: _CODE[0],
    list,
    dict,
    lambda: [[]],
    lambda: [1, 2, 3],
    lambda: [0] * 100_000,
    lambda: {"tensor": "state.network.layers.0.bias"},
    lambda: _deep([], 90),
    lambda: _deep([], 200),
)


def _deep(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Go through all (container, key) of a tree."""
    keys = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    )
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def _edit(tree: Any, chance: random.Random) -> Any:
    """Return a tree with a few of its values, keys or branches changed."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree))
        if not places:
            return chance.choice(_VALUES)()
        container, key = chance.choice(places)
        other, from_there = chance.choice(places)
        what = chance.randrange(5)
        if what == 0:
            del container[key]
        elif what == 1:
            container[key] = copy.deepcopy(other[from_there])
        elif what == 2 and isinstance(container, dict):
            container[chance.choice(("", "x", "width", "power", "sin", "tensor"))] = container.pop(
                key
            )
        elif what == 3 and type(container[key]) in (int, float):
            container[key] = container[key] * chance.choice((-1, 2, 10**6)) + chance.choice(
                (0, 1, 0.5)
            )
        else:
            container[key] = chance.choice(_VALUES)()
    return tree


def _edit_json(content: bytes, chance: random.Random) -> bytes:
    text = json.dumps(_edit(json.loads(content), chance))
    trick = chance.randrange(12)
    if trick == 0:
        text = text[:-1] + "," + text[1:]  # every key twice
    if trick == 1:
        text = "[" * 100_000 + text
    if trick == 2:
        text = '{"a":' * 50_000 + "1" + "}" * 50_000
    if trick == 3:
        text = text.replace('"', "'")
    return text.encode("utf-8", "surrogatepass")


# -- checkpoints ---------------------------------------------------------------------------------


def _sealed(content: bytes, chance: random.Random) -> bytes:
    """Edit header or tensors as a forger would: with a checksum that fits."""
    place = Path("forged")
    place.write_bytes(content)
    header, tensors = checkpoint_file.read(place)
    del header["sha256"]
    if chance.random() < 0.75:
        kept = {key: header.pop(key) for key in ("format", "version")}
        header = _edit(header, chance)
        header = {**kept, **header} if isinstance(header, dict) else kept
    else:
        for _ in range(chance.choice((1, 1, 3))):
            tensors = _edit_tensors(tensors, chance)
    try:
        checkpoint_file.write(place, header, tensors)
    except (TypeError, ValueError, UnicodeError):
        return _flip_bits(content, chance)
    return place.read_bytes()


def _edit_tensors(tensors: dict[str, torch.Tensor], chance: random.Random) -> dict[str, Any]:
    name = chance.choice(sorted(tensors))
    tensor, what = tensors[name].clone(), chance.randrange(7)
    others = {key: value for key, value in tensors.items() if key != name}
    if what == 0:
        return others or tensors
    if what == 1:
        return {**others, chance.choice(("other", name + ".x", name[:-1])): tensor}
    if what == 2:
        return {**tensors, name: tensor.reshape(-1)[: chance.randrange(tensor.numel() + 1)]}
    if what == 3:
        return {**tensors, name: tensor[None]}
    if what == 4:
        dtypes = (torch.float16, torch.float32, torch.int8, torch.bool, torch.int64, torch.float64)
        return {**tensors, name: tensor.to(chance.choice(dtypes))}
    if tensor.numel():
        flat = tensor.view(-1)
        if tensor.is_floating_point():
            least = torch.finfo(tensor.dtype).min
            value = chance.choice((float("nan"), float("inf"), least, 0.0, 255.0, -1.0, 1e18))
        else:
            value = chance.choice((0, 1, 2, 3, 127))
        flat[chance.randrange(flat.numel()) :: chance.choice((1, 10**6))] = value
    return {**tensors, name: tensor}


def _lie_about_lengths(content: bytes, chance: random.Random) -> bytes:
    """Change what a safetensors header says of sizes, places and dtypes."""
    (length,) = struct.unpack("<Q", content[:8])
    if chance.random() < 0.3:
        lie = chance.choice(
            (0, 1, length - 1, length + 1, 2**31, 2**40, 2**63, 2**64 - 1, 99_999_999)
        )
        return struct.pack("<Q", lie) + content[8:]
    header = json.loads(content[8 : 8 + length])
    record = header[chance.choice([name for name in header if name != "__metadata__"])]
    what = chance.randrange(4)
    if what == 0:
        record["shape"] = chance.choice(([2**40], [2**32, 2**32], [], [0], [-1], [1.5], "x"))
    elif what == 1:
        start, end = record["data_offsets"]
        record["data_offsets"] = chance.choice(
            ([end, start], [start, 2**62], [0, 0], [start + 1, end + 1], [-8, 0], [start], None)
        )
    elif what == 2:
        record["dtype"] = chance.choice(("F64", "F32", "I64", "U8", "BOOL", "F8_E4M3", "C64", "Q9"))
    else:
        header = _edit(header, chance)
    try:
        text = json.dumps(header).encode("utf-8", "surrogatepass")
    except ValueError:
        return _flip_bits(content, chance)
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


# -- text ----------------------------------------------------------------------------------------

_TOKENS = (
    *("**", "^", "*", "/", "+", "-", "(", ")", "`", ",", ".", "e", "E", "j", "_", "=", ":=", " "),
    *("9" * 50, "1e308", "1e-320", "0x1F", "1_000", "٣", "0", "999", "10**10**10", "9**9**9"),
    *("sin", "log", "log(0)", "1/0", "0^0", "x^1000", "(x+y)^999", "exp(1000)", "exp(exp(exp(9)))"),
    *("tan(", "asin(2)", "gamma", "lambda", "[1]", "{}", "'a'", "#", "\n", "\\", ";", "π", "∞"),
    *("(" * 120, "-" * 500, "sin(" * 60, "x**" * 80 + "x", "(x+1)*" * 300 + "1", *_CODE),
)


def _edit_text(content: bytes, chance: random.Random) -> bytes:
    text = content.decode()
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        place = chance.randrange(len(text) + 1)
        over = chance.choice((0, 0, 1, 5))
        text = text[:place] + chance.choice(_TOKENS) + text[place + over :]
    return text.encode()


_CELLS = (
    *("", "NA", "nan", "inf", "-inf", "1e999", "1e-400", "1,5", "1_000", "0x10", "٣", "true"),
    *('"', '"1.5"', '"1', '1"', '"a""b"', "'1'", "\0", "\r", "\n", '"\n"', "\v", " 1 ", "+1", "1."),
    *("2024-01-01", "9" * 400, "1" * 200_000, "=1+1", "\ufeff", "1 2", ".", "-", *_CODE),
)


def _edit_table(content: bytes, chance: random.Random) -> bytes:
    separator = b"\t" if b"\t" in content else b","
    lines = [line.split(separator) for line in content.rstrip(b"\n").split(b"\n")]
    for _ in range(chance.choice((1, 1, 2, 5))):
        line, what = chance.choice(lines), chance.randrange(10)
        cell = chance.choice(_CELLS).encode("utf-8", "surrogatepass")
        if not line:
            line.append(cell)
        elif what < 5:
            line[chance.randrange(len(line))] = cell
        elif what == 5:
            line.insert(chance.randrange(len(line) + 1), cell)
        elif what == 6:
            line.pop(chance.randrange(len(line)))
            line.append(b"") if not line else None
        elif what == 7:
            lines[0] = chance.choice(
                ([b"y"], [b"y", b"y"], [b""] * 4, [b"a,b", b"y"], [*lines[0], b"y"], lines[0][::-1])
            )
        elif what == 8 and chance.random() < 0.1:
            wide = [b"c%d" % k for k in range(100_000)]
            lines = [[*wide, b"y"], *([b"1"] * (len(wide) + 1) for _ in range(2))]
        else:
            lines.insert(chance.randrange(len(lines) + 1), [])
    end = chance.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n"))
    text = end.join(separator.join(line) for line in lines) + chance.choice((b"", end))
    encoding = chance.randrange(12)
    if encoding < 2:
        text = text.decode("utf-8", "replace").encode(
            "utf-16" if encoding else "utf-8-sig", "replace"
        )
    return text


_CHECKPOINTS = [*_BYTES, _lie_about_lengths, _lie_about_lengths, _sealed, _sealed, _sealed, _sealed]
_BY_ENDING: dict[str, list[Callable[[bytes, random.Random], bytes]]] = {
    ".safetensors": _CHECKPOINTS,
    ".json": [*_BYTES, *[_edit_json] * 6],
    ".txt": [*_BYTES, *[_edit_text] * 8],
    ".csv": [*_BYTES, *[_edit_table] * 8],
    ".tsv": [*_BYTES, *[_edit_table] * 8],
    ".parquet": _BYTES,
}
