import errno
import json
import os
import pickle
import stat

import pytest
import sympy
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from knotwork import KAN, KANLayer, SymbolicFunction, create_dataset
from knotwork import _checkpoint_file as checkpoint_file
from knotwork.functions import LIBRARY
from knotwork.io import CheckpointError, load, save
from knotwork.mlp import MLP
from knotwork.symbolic.reading import from_data, to_data

SOFTSIGN = SymbolicFunction(
    "softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + sympy.Abs(x))
)


def data(n_var=2, dtype=torch.float64):
    return create_dataset(
        lambda x: torch.sin(x[:, 0]) + x[:, 1] ** 2, n_var, train_num=200, test_num=20, dtype=dtype
    )


def plain():
    return KAN([2, 3, 1], seed=3)


def fitted():
    model = KAN([2, (1, 1), 1], grid=2, k=2, grid_eps=0.3, extrapolation="constant")
    model.fit(data(), steps=4)
    return model


def pruned():
    model = KAN([3, 4, 2, 1], grid=3, residual="tanh")
    X = data(3)["train_input"]
    smaller = model.prune(0.45, 0.2, X=X).prune_inputs(1.2, X=X)
    assert smaller.width != model.width
    assert smaller.edge_count() < model.edge_count()
    return smaller


def symbolic():
    model = KAN([2, 3, 2], residual=None)
    model.layer(0).set_symbolic(1, 2, LIBRARY["sin"], 2.0, 0.1, 1.5, -0.3)
    model.layer(0).set_symbolic(0, 0, LIBRARY["exp"], 0.5, 0.0, 1.5, 1e-3)
    model.layer(1).set_symbolic(2, 1, LIBRARY["sin"], 1.0, 0.1, 0.5, 0.2)
    model.layer(1).remove_edge(0, 0, 0.7)
    return model


def multiplying():
    return KAN([3, (2, [3, 2]), (0, 2)], seed=1)


def refined():
    model = plain().refine(7)
    model.layer(1).refine(11)
    return model


def refitted():
    """A re-fit leaves coefficients in another memory order than the one they are loaded in."""
    return KAN([1, 40, 40], grid=4, residual=None).refine(7)


def single():
    model = KAN([2, 2, 1], dtype=torch.float32)
    model.fit(data(dtype=torch.float32), steps=2)
    return model


def named():
    model = plain()
    model.input_names, model.output_names = ("Länge", 'w "b"\n'), ("y",)
    return model


def mixed_layers():
    model = plain()
    model.layers[1] = KANLayer(3, 1, 2, 1, residual=None, dtype=torch.float64)
    return model


def perceptron():
    return MLP([2, 5, 4, 3], activation="gelu", seed=9, dtype=torch.float32)


@pytest.fixture(
    params=[
        plain,
        fitted,
        pruned,
        symbolic,
        multiplying,
        refined,
        refitted,
        single,
        named,
        mixed_layers,
        perceptron,
    ],
    ids=lambda make: make.__name__,
)
def model(request):
    return request.param()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def rewritten(path, tensors=None, **changes):
    """Write the file at `path` again with a changed header and tensors, properly sealed."""
    header, stored = checkpoint_file.read(path)
    del header["sha256"]
    checkpoint_file.write(path, {**header, **changes}, {**stored, **(tensors or {})})
    return path


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["knotwork"])


# -- round trips ---------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved_to_the_bit(model, path):
    save(model, path)
    loaded = load(path)
    assert type(loaded) is type(model)
    assert str(loaded) == str(model)
    for attribute in ("width", "seed", "input_names", "output_names", "dtype", "fresh"):
        assert getattr(loaded, attribute, None) == getattr(model, attribute, None), attribute
    saved, restored = model.state_dict(), loaded.state_dict()
    assert list(saved) == list(restored)
    for name, value in saved.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == restored[name].dtype
            assert torch.equal(value, restored[name]), name
        else:
            assert value == restored[name]
    generator = torch.Generator().manual_seed(5)
    for rows in (1, 7, 300):
        x = 1.5 * torch.randn(rows, model.input_count, generator=generator, dtype=torch.float64)
        x = x.to(model.dtype)
        assert model(x).detach().numpy().tobytes() == loaded(x).detach().numpy().tobytes()


def test_layer_settings_survive(path):
    model = mixed_layers()
    save(fitted(), path)
    layer = load(path).layer(0)
    assert (layer.grid_eps, layer.extrapolation, layer.k) == (0.3, "constant", 2)
    save(model, path)
    layer = load(path).layer(1)
    assert (layer.grid, layer.k, layer.residual) == (2, 1, None)


def test_nan_and_infinite_parameters_survive(path):
    model = plain()
    with torch.no_grad():
        model.layer(0).bias[:2] = torch.tensor([torch.nan, torch.inf])
    save(model, path)
    bias = load(path).layer(0).bias
    assert bool(bias[0].isnan())
    assert bool(bias[1].isinf())


def test_undoing_a_symbolic_edge_works_after_loading(path):
    model = symbolic()
    save(model, path)
    loaded = load(path)
    for each in (model, loaded):
        each.layer(0).unset_symbolic(0, 0)
    x = data()["test_input"]
    assert torch.equal(model(x), loaded(x))


def test_a_loaded_network_trains_like_the_original(path):
    model = plain()
    save(model, path)
    loaded = load(path)
    losses = [each.fit(data(), steps=5).train_loss for each in (model, loaded)]
    assert losses[0] == losses[1]


def test_the_data_is_not_saved(path):
    model = fitted()
    assert model.dataset is not None
    save(model, path)
    assert load(path).dataset is None
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {
            name for name in model.state_dict() if not name.endswith("_extra_state")
        }


def test_the_door_on_the_network_saves_too(path):
    plain().save(str(path))
    assert load(str(path)).width == [2, 3, 1]


def test_the_same_network_gives_the_same_bytes(model, path, tmp_path):
    save(model, path)
    save(model, tmp_path / "again")
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_loading_leaves_the_global_random_numbers_alone(model, path):
    save(model, path)
    torch.manual_seed(0)
    expected = torch.get_rng_state()
    load(path)
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_chosen_device_is_used(path):
    save(plain(), path)
    assert load(path, device="meta").device == torch.device("meta")


def test_only_networks_of_ours_are_saved(path):
    with pytest.raises(TypeError, match="must be a KAN or an MLP; got Linear"):
        save(torch.nn.Linear(1, 1), path)
    assert not path.exists()


# -- functions of the user -----------------------------------------------------------------------


def own():
    model = plain()
    model.layer(0).set_symbolic(0, 1, SOFTSIGN, 2.0, 0.5, 1.0, 0.0)
    return model


def test_functions_of_the_user_come_back_by_name(path):
    save(own(), path)
    loaded = load(path, functions=[SOFTSIGN])
    assert loaded.layer(0).function_at(0, 1) is SOFTSIGN
    x = data()["test_input"]
    assert torch.equal(own()(x), loaded(x))


def test_a_missing_function_is_named_with_the_remedy(path):
    save(own(), path)
    with pytest.raises(CheckpointError, match=r"'softsign'.*functions=\[\.\.\.\]"):
        load(path)


def test_a_users_function_is_never_taken_for_one_of_the_library(path):
    own_sine = SymbolicFunction("sin", lambda x: torch.sin(3 * x), lambda x: sympy.sin(3 * x))
    model = plain()
    model.layer(0).set_symbolic(0, 0, own_sine, 1.0, 0.0, 1.0, 0.0)
    save(model, path)
    with pytest.raises(CheckpointError, match="'sin'"):
        load(path)
    assert load(path, functions=[own_sine]).layer(0).functions == [own_sine]


def test_the_library_is_not_replaced_by_a_users_function(path):
    own_sine = SymbolicFunction("sin", torch.tanh, sympy.tanh)
    save(symbolic(), path)
    assert load(path, functions=[own_sine]).layer(0).functions[0] is LIBRARY["sin"]


def test_two_functions_of_one_name_cannot_be_saved(path):
    model = own()
    twin = SymbolicFunction("softsign", torch.tanh, sympy.tanh)
    model.layer(0).set_symbolic(1, 1, twin, 1.0, 0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="two different functions are called 'softsign'"):
        save(model, path)
    assert not path.exists()


def test_functions_must_be_functions(path):
    save(plain(), path)
    with pytest.raises(TypeError, match="SymbolicFunction"):
        load(path, functions=["sin"])


# -- writing -------------------------------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    save(plain(), path)
    before = path.read_bytes()

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            with pytest.raises(OSError, match="No space left"):
                save(symbolic(), path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_told_with_what_to_do(path, monkeypatch):
    def fail(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(
        OSError, match=r"model.* cannot be written \(No space .*\): make room"
    ) as told:
        save(plain(), path)
    assert told.value.errno == errno.ENOSPC


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    save(plain(), path)
    before = path.read_bytes()

    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(symbolic(), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_all_is_on_disk_before_the_old_file_goes(path, monkeypatch):
    save(plain(), path)
    calls = []
    fsync, replace = os.fsync, os.replace

    def synced(handle):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def replaced(source, target):
        assert source.parent == target.parent
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    save(symbolic(), path)
    assert calls == ["file", "replace", "folder"]
    assert list(path.parent.iterdir()) == [path]


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "latest"
    save(plain(), path)
    link.symlink_to(path)
    save(multiplying(), link)
    assert link.is_symlink()
    assert load(path).width == multiplying().width


def test_new_files_have_ordinary_permissions(path):
    save(plain(), path)
    other = path.parent / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_places_that_cannot_be_written_are_told(path, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"folder .*absent does not exist: create it"):
        save(plain(), tmp_path / "absent" / "model")
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        save(plain(), tmp_path)
    with pytest.raises(ValueError, match="not an ordinary file"):
        save(plain(), os.devnull)

    def forbid(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", forbid)
    with pytest.raises(PermissionError, match=r"Permission denied.*may write to"):
        save(plain(), path)


# -- reading what cannot be right ----------------------------------------------------------------


def test_a_missing_file_or_a_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load(tmp_path)


@pytest.fixture(params=[symbolic, perceptron], ids=["KAN", "MLP"])
def content(request, path):
    save(request.param(), path)
    return path.read_bytes()


def test_a_file_cut_short_is_told(content, path):
    lengths = [*range(0, len(content), 50), len(content) - 1]
    for length in lengths:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            load(path)


def test_one_flipped_bit_is_noticed(content, path):
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(8 * len(content), generator=generator)[:200].tolist()
    for place in places:
        altered = bytearray(content)
        altered[place // 8] ^= 1 << place % 8
        path.write_bytes(altered)
        with pytest.raises(CheckpointError):
            load(path)


def test_an_edited_header_is_noticed(path):
    save(KAN([2, 3, 1], seed=1), path)
    path.write_bytes(path.read_bytes().replace(b'\\"seed\\": 1', b'\\"seed\\": 2'))
    with pytest.raises(CheckpointError, match="altered or damaged after it was saved"):
        load(path)


@pytest.mark.parametrize("metadata", [None, {"knotwork": "["}, {"knotwork": "[" * 10**5}, {}])
def test_other_safetensors_files_are_told(path, metadata):
    save_file({"weight": torch.zeros(2)}, path, metadata)
    with pytest.raises(CheckpointError, match=r"not a knotwork checkpoint|header is not JSON"):
        load(path)


FORMULA = json.dumps(
    {"name": "formula", "variables": ["x"], "expression": to_data(sympy.Symbol("x") ** 2)}
)
FOREIGN = {
    "pickle": ("model.pkl", pickle.dumps({"a": 1}), "it is a pickle.*joblib.load"),
    "evil pickle": ("model", b"\x80\x05cos\nsystem\n", "not a safetensors file.*it is a pickle"),
    "torch": ("model.pt", b"PK\x03\x04rest", r"zip file, as torch.save.*weights_only=True"),
    "formula": ("formula.json", FORMULA.encode(), r"a formula as JSON: .*from_data\("),
    "other JSON": ("rows.json", b' [{"a": 1}]', "it is JSON"),
    "ONNX": ("model.onnx", b"\x08\x08\x12\x08knotwork", "ONNX file: onnxruntime"),
    "table": ("rows.csv", b"a,b\n1,2\n", "it is a table: knotwork.read_table"),
    "nothing": ("model.safetensors", b"", "it is empty"),
    "text": ("formula.py", b"import numpy as np\n", "not a safetensors file, was cut short"),
    "broken JSON": ("rows.json", b'{"a": ', "not a safetensors file, was cut short"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_told_with_what_reads_them(tmp_path, kind):
    name, content, message = FOREIGN[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / name)


def test_the_network_beside_a_description_is_named(path):
    save(plain(), path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"the network is in model\.safetensors"):
        load(path.with_suffix(".json"))


def test_a_formula_is_read_as_the_message_says():
    assert from_data(json.loads(FORMULA)["expression"]) == sympy.Symbol("x") ** 2


@pytest.mark.parametrize("length", [0x0280, 0x0480])
def test_a_checkpoint_that_was_cut_short_is_no_pickle(path, length):
    path.write_bytes(length.to_bytes(8, "little") + b'{"__metadata__"')
    with pytest.raises(CheckpointError, match="was cut short"):
        load(path)


def test_tensors_of_another_program_are_listed(path):
    save_file({f"layer.{k}": torch.zeros(k, 2) for k in range(1, 6)}, path)
    with pytest.raises(
        CheckpointError,
        match=r"layer\.1 \(1, 2\), layer\.2 \(2, 2\), .* and 2 more.*safetensors\.torch\.load_file",
    ):
        load(path)


def test_a_checkpoint_of_another_class_is_told(path):
    save(perceptron(), path)
    assert type(MLP.load(path)) is MLP
    with pytest.raises(
        CheckpointError, match=r"holds a network of class MLP, not KAN: use MLP.load"
    ):
        KAN.load(path)
    save(own(), path)
    assert KAN.load(path, functions=[SOFTSIGN]).width == [2, 3, 1]
    with pytest.raises(CheckpointError, match="class 'Other', which this knotwork does not know"):
        load(rewritten(path, **{"class": "Other"}))


def test_a_newer_format_asks_for_an_upgrade(path):
    save(plain(), path)
    with pytest.raises(CheckpointError, match=r"newer knotwork \(format 2.*upgrade"):
        load(rewritten(path, version=2))


HUGE = 10**15
WRONG = {
    "class": ["Sequential", None, 3],
    "dtype": ["float32", "int64", None, []],
    "seed": ["0", -1, 2**70],
    "width": [
        [2, 3],
        [2, HUGE, 1],
        [2, [0, HUGE], 1],
        [2, [3, [HUGE]], 1],
        [HUGE, 3, 1],
        [2, [3], 1],
        [2, [-3, 3], 1],
        "231",
        {},
        5,
        None,
    ],
    "layers": [[], [{}, {}], None, 7, ["a", "b"]],
    "own_functions": [None, ["sin"], 3],
    "input_names": [["a"], "ab", [1, 2]],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_header_that_cannot_be_right_is_told(path, field, value):
    save(plain(), path)
    with pytest.raises(CheckpointError):
        load(rewritten(path, **{field: value}))


def test_a_refusal_stays_short_whatever_the_file_says(path):
    save(plain(), path)
    for changes in ({"width": [2, [3] * 10**5, 1]}, {"own_functions": ["x" * 10**5] * 99}):
        with pytest.raises(CheckpointError) as told:
            load(rewritten(path, **changes))
        assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grid", HUGE),
        ("grid", 0),
        ("grid", 4),
        ("k", 2),
        ("k", 6),
        ("k", "3"),
        ("residual", None),
        ("residual", "cube"),
        ("grid_eps", "even"),
        ("extrapolation", "maybe"),
        ("functions", ["sin"]),
        ("functions", [["sin"]]),
        ("functions", None),
    ],
)
def test_a_layer_that_cannot_be_right_is_told(path, field, value):
    save(plain(), path)
    layers = header_of(path)["layers"]
    layers[1][field] = value
    with pytest.raises(CheckpointError):
        load(rewritten(path, layers=layers))


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", [2, HUGE, 3]), ("width", [2]), ("width", [2.0, 5.0, 4.0, 3.0]), ("activation", "x")],
)
def test_a_perceptron_that_cannot_be_right_is_told(path, field, value):
    save(perceptron(), path)
    with pytest.raises(CheckpointError):
        load(rewritten(path, **{field: value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers.0.bias", torch.zeros(3, dtype=torch.float32)),
        ("layers.0.bias", torch.zeros(4, dtype=torch.float64)),
        ("layers.0.kind", torch.full((2, 3), 3, dtype=torch.uint8)),
        ("layers.0.kind", torch.ones(2, 3, dtype=torch.uint8)),
        ("layers.0.symbolic_edges", torch.tensor([[1, 2], [2, 0]])),
        ("layers.0.symbolic_edges", torch.tensor([[1, 2], [-1, 0]])),
        ("layers.0.symbolic_edges", torch.tensor([[1, 2], [1, 2]])),
        ("layers.2.bias", torch.zeros(1, dtype=torch.float64)),
    ],
)
def test_tensors_that_cannot_be_right_are_told(path, name, value):
    save(symbolic(), path)
    with pytest.raises(CheckpointError):
        load(rewritten(path, {name: value}))
