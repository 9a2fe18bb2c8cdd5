import pytest
import sympy
import torch
from torch import Tensor

from knotwork import KAN, SymbolicFunction
from knotwork.functions import DEFAULT_NAMES


def rows(count: int = 300, inputs: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


def trained() -> KAN:
    """A network whose edge (0, 0, 0) is a sine and (0, 1, 0) a parabola."""
    x = rows()
    model = KAN([2, 1], grid=10)
    model.fit((x, torch.sin(3 * x[:, 0]) + x[:, 1] ** 2), steps=10)
    return model


def state(model: KAN) -> dict[str, Tensor]:
    return {n: v.clone() for n, v in model.state_dict().items() if isinstance(v, Tensor)}


@pytest.mark.parametrize(("edge", "name"), [((0, 0, 0), "sin"), ((0, 1, 0), "x^2")])
def test_suggestions_rank_the_right_function_first(edge: tuple[int, int, int], name: str) -> None:
    table = trained().suggest_symbolic(*edge)
    assert table[0].function.name == name
    assert table[0].r2 > 0.9999
    assert {fit.function.name for fit in table} <= set(DEFAULT_NAMES)
    assert [fit.score for fit in table] == sorted(fit.score for fit in table)


def test_suggestions_print_as_a_table_and_are_a_sequence() -> None:
    table = trained().suggest_symbolic(0, 0, 0, lib=["x", "sin", "x^2"])
    lines = str(table).splitlines()
    assert len(lines) == len(table) + 1 == 4
    assert lines[0].split() == ["function", "R^2", "cost", "a", "b", "c", "d"]
    assert lines[1].split()[0] == "sin"
    assert [fit.function.name for fit in table] == [table[i].function.name for i in range(3)]
    assert table[-1] == list(table)[-1]


def test_suggestions_look_only_at_the_given_rows_and_change_nothing() -> None:
    model = trained()
    before = state(model)
    assert model.suggest_symbolic(0, 0, 0, lib=["x"])[0].r2 < 0.95
    assert model.suggest_symbolic(0, 0, 0, lib=["x"], X=0.01 * rows())[0].r2 > 0.999
    after = state(model)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_constant_and_absent_edges_have_no_suggestions() -> None:
    model = trained()
    with torch.no_grad():
        model.layer(0).coefficients[0] = 1
        model.layer(0).residual_weight[0] = 0
    assert len(model.suggest_symbolic(0, 0, 0)) == 0
    model.layer(0).remove_edge(1, 0)
    assert len(model.suggest_symbolic(0, 1, 0)) == 0


def test_negative_indices_count_from_the_end() -> None:
    model = trained()
    assert model.suggest_symbolic(-1, -1, -1)[0].function.name == "x^2"
    model.fix_symbolic(-1, -2, 0, "sin")
    assert model[0, 0, 0].kind == "symbolic"


def test_fixing_replaces_the_edge_and_returns_its_r2() -> None:
    model, x = trained(), rows()
    before = model(x).detach()
    r2 = model.fix_symbolic(0, 0, 0, "sin")
    assert r2 > 0.99999
    assert float((model(x) - before).abs().max().detach()) < 0.01
    edge = model[0, 0, 0]
    assert (edge.kind, edge.function.name) == ("symbolic", "sin")
    a, b, c = edge.constants
    assert (a, c) == pytest.approx((3.0, 1.0), abs=0.02)
    assert b == pytest.approx(0.0, abs=0.02)
    values = edge.values(x[:, 0])
    assert torch.allclose(values, c * torch.sin(a * x[:, 0] + b))


def test_unfixing_undoes_exactly() -> None:
    model, x = trained(), rows()
    before, output = state(model), model(x).detach()
    for edge, name in [((0, 0, 0), "sin"), ((0, 1, 0), "exp"), ((0, 1, 0), "x^2")]:
        model.fix_symbolic(*edge, name)
    model.unfix_symbolic(0, 0, 0)
    assert model[0, 1, 0].function.name == "x^2"
    model.unfix_symbolic(0, 1, 0)
    after = state(model)
    assert torch.allclose(model(x), output, atol=1e-13)
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-13) for name in before)


def test_a_poor_choice_is_undone_exactly_too() -> None:
    # Far out on its tail a function has a huge c and d that cancel; bias + d - d must not show it.
    model, x = trained(), rows()
    output = model(x).detach()
    for name in ("exp", "tanh", "gaussian", "1/x"):
        model.fix_symbolic(0, 1, 0, name)
        model.unfix_symbolic(0, 1, 0)
    assert torch.allclose(model(x), output, atol=1e-12)


def test_fixed_edges_stay_through_training_and_copies() -> None:
    model = trained()
    model.fix_symbolic(0, 0, 0, "sin")
    model.fit(model.dataset, steps=4)
    copied = model.copy()
    assert copied[0, 0, 0].function.name == "sin"
    model.unfix_symbolic(0, 0, 0)
    assert copied[0, 0, 0].kind == "symbolic"


def test_failing_to_fix_again_keeps_what_was_there() -> None:
    nowhere = SymbolicFunction("nowhere", lambda x: x * torch.nan, sympy.sin)
    model, x = trained(), rows()
    model.fix_symbolic(0, 0, 0, "sin")
    before = model(x).detach()
    for function, X in ((nowhere, None), ("cos", x[:3])):
        with pytest.raises(ValueError, match=r"X|cannot become"):
            model.fix_symbolic(0, 0, 0, function, X)
        assert model[0, 0, 0].kind == "symbolic"
        assert torch.equal(model(x), before)


def test_functions_of_a_user() -> None:
    softsign = SymbolicFunction(
        "softsign", lambda x: x / (1 + x.abs()), lambda x: x / (1 + sympy.Abs(x)), parity="odd"
    )
    x = rows()
    model = KAN([2, 1], grid=10)
    model.fit((x, softsign.torch(4 * x[:, 0]) + x[:, 1]), steps=10)
    assert model.suggest_symbolic(0, 0, 0, lib=["tanh", softsign])[0].function is softsign
    assert model.fix_symbolic(0, 0, 0, softsign) > 0.999


def test_single_precision() -> None:
    x = rows().float()
    model = KAN([2, 1], dtype=torch.float32)
    model.fit((x, torch.sin(3 * x[:, 0]) + x[:, 1] ** 2), steps=10)
    assert model.fix_symbolic(0, 0, 0, "sin") > 0.999
    assert model(x).dtype == torch.float32


def test_messages() -> None:
    model = trained()
    with pytest.raises(ValueError, match="Did you mean 'sin'"):
        model.fix_symbolic(0, 0, 0, "sine")
    with pytest.raises(ValueError, match="Did you mean"):
        model.suggest_symbolic(0, 0, 0, lib=["x", "cosin"])
    with pytest.raises(IndexError, match=r"i is 2, but there are 2 inputs of layer 0: use 0 to 1"):
        model.fix_symbolic(0, 2, 0, "sin")
    with pytest.raises(IndexError, match="there are 1 layers"):
        model.suggest_symbolic(1, 0, 0)
    with pytest.raises(ValueError, match="not symbolic, so there is nothing to undo"):
        model.unfix_symbolic(0, 0, 0)
    with pytest.raises(ValueError, match="X is needed"):
        KAN([2, 1]).fix_symbolic(0, 0, 0, "sin")
    model.layer(0).remove_edge(1, 0)
    with pytest.raises(ValueError, match="absent"):
        model.fix_symbolic(0, 1, 0, "sin")
