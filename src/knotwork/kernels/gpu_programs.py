"""The spline layer's Triton programs: the innermost loops on a GPU.

Every program finds the interval of its points and the polynomials there (`cuda.pieces` makes
them) by itself, so nothing of the size rows x inputs x basis functions is ever stored.  A name in
capitals is a constant of the compiled program.  Row numbers are int64: rows x inputs may pass
2**31.  Only the outputs' tiles have an axis of their own in the grid of programs, as its second
axis is short.
"""

# Triton's language is not Python's: inside a program types mean something else.
# pyright: basic, reportMissingImports=false, reportGeneralTypeIssues=false

import triton
import triton.language as tl


@triton.jit
def _divide(a, b):
    # Triton's own division of float32 is not IEEE's, and would put points on knots elsewhere.
    return a / b if a.dtype == tl.float64 else tl.div_rn(a, b)


@triton.jit
def _place(x, breaks, intervals, UNIFORM: tl.constexpr, CLAMPS: tl.constexpr, STEPS: tl.constexpr):
    """Return the first basis, the class, the position and the interval's width at every point."""
    low = tl.load(breaks)
    high = tl.load(breaks + intervals)
    # Written so that nan stays nan.
    inside = tl.where(x < low, low, x)
    inside = tl.where(inside > high, high, inside)
    point = inside if CLAMPS else x
    above = x > high
    if UNIFORM:
        width = _divide(high - low, tl.cast(intervals, x.dtype))
        whole = _divide(inside - low, width)
        first = tl.where(inside >= low, whole, 0.0).to(tl.int32)
        first = tl.maximum(tl.minimum(first, intervals - 1), 0)
        piece = tl.where(x < low, 0, tl.where(above, 2, 1))
        position = _divide(point - low, width) - tl.where(above, first + 1, first)
    else:
        # The last break that is not above the point; nan goes to the last interval.
        first = tl.zeros_like(x).to(tl.int32)
        for step in tl.static_range(STEPS):
            further = first + (1 << (STEPS - 1 - step))
            middle = tl.load(breaks + tl.minimum(further, intervals))
            first = tl.where((further < intervals) & ~(inside < middle), further, first)
        left = tl.load(breaks + first)
        right = tl.load(breaks + first + 1)
        width = right - left
        piece = tl.where(x < low, 0, tl.where(above, intervals + 1, first + 1))
        position = _divide(point - tl.where(above, right, left), width)
    return first, piece, position, width


@triton.jit
def _value(polynomial, position, K: tl.constexpr):
    value = tl.load(polynomial + K)
    for step in tl.static_range(K):
        value = value * position + tl.load(polynomial + (K - 1 - step))
    return value


@triton.jit
def _slope(polynomial, position, K: tl.constexpr):
    # A constant polynomial has forgotten the point: nan must stay nan.
    slope = tl.load(polynomial + K) * K + position * 0
    for step in tl.static_range(K - 1):
        slope = slope * position + tl.load(polynomial + (K - 1 - step)) * (K - 1 - step)
    return slope


@triton.jit
def add_splines(
    x,
    knots,
    pieces,
    pieces_size,
    coefficients,
    kind,
    y,
    rows,
    inputs,
    outputs,
    intervals,
    K: tl.constexpr,
    UNIFORM: tl.constexpr,
    CLAMPS: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
):
    """Add all splines to `y`: a program owns a tile of it, and loops over inputs."""
    n = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    j = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    tile = y + n[:, None] * outputs + j[None, :]
    there = (n < rows)[:, None] & (j < outputs)[None, :]
    sums = tl.load(tile, mask=there, other=0.0)
    column = x + n * inputs
    for _ in range(inputs):
        at = tl.load(column, mask=n < rows, other=0.0)
        first, piece, position, _width = _place(at, knots + K, intervals, UNIFORM, CLAMPS, STEPS)
        spline = tl.load(kind + j, mask=j < outputs, other=0) == 1
        for a in tl.static_range(K + 1):
            value = _value(pieces + (piece * (K + 1) + a) * (K + 1), position, K)
            weights = coefficients + ((first + a) * outputs)[:, None] + j[None, :]
            sums += value[:, None] * tl.load(weights, mask=spline[None, :], other=0.0)
        column += 1
        knots += intervals + 2 * K + 1
        pieces += pieces_size
        coefficients += (intervals + K) * outputs
        kind += outputs
    tl.store(tile, sums, mask=there)


@triton.jit
def add_input_gradient(
    grad,
    x,
    knots,
    pieces,
    pieces_size,
    coefficients,
    kind,
    of_x,
    rows,
    inputs,
    outputs,
    intervals,
    K: tl.constexpr,
    UNIFORM: tl.constexpr,
    CLAMPS: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
):
    """Add what comes through splines to `of_x`: a program owns some rows of one input."""
    i = (tl.program_id(0) % inputs).to(tl.int64)
    n = (tl.program_id(0) // inputs).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    at = tl.load(x + n * inputs + i, mask=n < rows, other=0.0)
    breaks = knots + i * (intervals + 2 * K + 1) + K
    first, piece, position, width = _place(at, breaks, intervals, UNIFORM, CLAMPS, STEPS)
    coefficients += i * (intervals + K) * outputs
    total = tl.zeros_like(at)
    for a in tl.static_range(K + 1):
        dot = tl.zeros([ROWS, OUTPUTS], at.dtype)
        for start in range(0, outputs, OUTPUTS):
            j = start + tl.arange(0, OUTPUTS)
            spline = tl.load(kind + i * outputs + j, mask=j < outputs, other=0) == 1
            weights = coefficients + ((first + a) * outputs)[:, None] + j[None, :]
            there = (n < rows)[:, None] & (j < outputs)[None, :]
            slopes = tl.load(grad + n[:, None] * outputs + j[None, :], mask=there, other=0.0)
            dot += slopes * tl.load(weights, mask=spline[None, :], other=0.0)
        polynomial = pieces + i * pieces_size + (piece * (K + 1) + a) * (K + 1)
        total += _slope(polynomial, position, K) * tl.sum(dot, axis=1)
    to = of_x + n * inputs + i
    before = tl.load(to, mask=n < rows, other=0.0)
    tl.store(to, before + _divide(total, width), mask=n < rows)


@triton.jit
def first_bases(
    x,
    knots,
    first_of,
    rows,
    inputs,
    intervals,
    K: tl.constexpr,
    UNIFORM: tl.constexpr,
    CLAMPS: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Find the first basis that does not vanish at every point: `first_of` is (inputs, rows)."""
    i = (tl.program_id(0) % inputs).to(tl.int64)
    n = (tl.program_id(0) // inputs).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    at = tl.load(x + n * inputs + i, mask=n < rows, other=0.0)
    breaks = knots + i * (intervals + 2 * K + 1) + K
    first, _piece, _position, _width = _place(at, breaks, intervals, UNIFORM, CLAMPS, STEPS)
    tl.store(first_of + i * rows + n, first, mask=n < rows)


@triton.jit
def coefficient_gradient(
    grad,
    x,
    knots,
    pieces,
    pieces_size,
    order,
    begins,
    kind,
    of_coefficients,
    rows,
    inputs,
    outputs,
    intervals,
    K: tl.constexpr,
    UNIFORM: tl.constexpr,
    CLAMPS: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
):
    """Compute `of_coefficients`: a program owns some outputs of one basis function.

    `order` (inputs, rows) are row numbers sorted by interval and `begins` (inputs, intervals + 1)
    where every interval's rows begin: a basis function's rows lie together.
    """
    count = intervals + K
    i = (tl.program_id(0) // count).to(tl.int64)
    f = tl.program_id(0) % count
    j = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    breaks = knots + i * (intervals + 2 * K + 1) + K
    begin = tl.load(begins + i * (intervals + 1) + tl.maximum(f - K, 0))
    end = tl.load(begins + i * (intervals + 1) + tl.minimum(f + 1, intervals))
    sums = tl.zeros([OUTPUTS], x.dtype.element_ty)
    for start in range(begin, end, ROWS):
        p = start + tl.arange(0, ROWS)
        n = tl.load(order + i * rows + p, mask=p < end, other=0)
        at = tl.load(x + n * inputs + i, mask=p < end, other=0.0)
        first, piece, position, _width = _place(at, breaks, intervals, UNIFORM, CLAMPS, STEPS)
        # Past the last row any of the polynomials does: it meets a gradient of 0.
        a = tl.where(p < end, f - first, 0)
        value = _value(pieces + i * pieces_size + (piece * (K + 1) + a) * (K + 1), position, K)
        there = (p < end)[:, None] & (j < outputs)[None, :]
        slopes = tl.load(grad + n[:, None] * outputs + j[None, :], mask=there, other=0.0)
        sums += tl.sum(value[:, None] * slopes, axis=0)
    spline = tl.load(kind + i * outputs + j, mask=j < outputs, other=0) == 1
    to = of_coefficients + (i * count + f) * outputs + j
    tl.store(to, tl.where(spline, sums, 0.0), mask=j < outputs)
