"""Layers. Pure functions f(params, name, x); a name is the layer's prefix in the checkpoint.

Parameters are stored as float32 and cast to the input's dtype at use; norms compute in float32
and cast back. Mathematics of `embodied/jax/nets.py` in danijar/dreamerv3 at e3f0224.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from openloop_cli.arrays import Array, Params
from openloop_cli.config import norm_kind


def linear(params: Params, name: str, x: jax.Array) -> jax.Array:
    """(…, I) -> (…, O)."""
    return x @ _weight(params, f"{name}/kernel", x) + _weight(params, f"{name}/bias", x)


def block_linear(params: Params, name: str, x: jax.Array) -> jax.Array:
    """(N, I) -> (N, O): block-diagonal, each of the G blocks maps its own I/G inputs to O/G."""
    kernel = _weight(params, f"{name}/kernel", x)  # (G, I/G, O/G)
    # Blocks first: as an einsum over "ngi,gio->ngo" a CPU takes four times as long.
    x = x.reshape((-1, *kernel.shape[:2])).swapaxes(0, 1)
    x = jax.lax.dot_general(x, kernel, (((2,), (1,)), ((0,), (0,))))
    return x.swapaxes(0, 1).reshape((x.shape[1], -1)) + _weight(params, f"{name}/bias", x)


def conv(params: Params, name: str, x: jax.Array, stride: int = 1) -> jax.Array:
    """(N, H, W, I) -> (N, H/stride, W/stride, O) float32, zero padding 'same'."""
    kernel = _weight(params, f"{name}/kernel", x)
    return _conv(x, kernel, stride, "SAME") + _bias(params, name, x)


def upsampling_conv(params: Params, name: str, x: jax.Array) -> jax.Array:
    """(N, H, W, I) -> (N, 2H, 2W, O) float32, with the kernel that `fold_upsampling` made."""
    folded = jnp.asarray(params[f"{name}/folded"])  # (n, n, I, 2 · 2 · O)
    bias = _bias(params, name, x)
    size = params[f"{name}/kernel"].shape[0]
    low = -_offset(0, 0, size)
    y = _conv(x, folded, 1, [(low, folded.shape[0] - 1 - low)] * 2)
    n, h, w, _ = y.shape
    y = y.reshape((n, h, w, 2, 2, bias.shape[0])).transpose((0, 1, 3, 2, 4, 5))
    return y.reshape((n, 2 * h, 2 * w, bias.shape[0])) + bias


def pooling_conv(params: Params, name: str, x: jax.Array) -> jax.Array:
    """(N, 2H, 2W, I) -> (N, H, W, O) float32: a convolution, the maximum of 2 × 2 squares."""
    if f"{name}/folded" not in params:
        x = conv(params, name, x)
        x = jnp.maximum(x[:, ::2], x[:, 1::2])
        return jnp.maximum(x[:, :, ::2], x[:, :, 1::2])
    n, h, w, channels = x.shape
    bias = _bias(params, name, x)
    x = x.reshape((n, h // 2, 2, w // 2, 2, channels)).transpose((0, 1, 3, 2, 4, 5))
    folded = _weight(params, f"{name}/folded", x)  # (n, n, 4 · I, 4 · O)
    size = params[f"{name}/kernel"].shape[0]
    low = -_offset(0, 0, size)
    x = x.reshape((n, h // 2, w // 2, 4 * channels))
    x = _conv(x, folded, 1, [(low, folded.shape[0] - 1 - low)] * 2)
    return x.reshape((*x.shape[:-1], 4, bias.shape[0])).max(-2) + bias


def fold_pooling(kernel: Array) -> Array:
    """(K, K, I, O) -> (n, n, 2 · 2 · I, 2 · 2 · O): the same taps on squares of 2 × 2 pixels.

    Each output pixel of a square has channels of its own, over which the pool takes the maximum.
    No tap is summed, so the result is that of the plain convolution. It pays where the input has
    few channels: a third of the first layer's time.
    """
    size, _, inputs, outputs = kernel.shape
    first = _offset(0, 0, size)
    width = _offset(1, size - 1, size) - first + 1
    taps = np.zeros((2, width, 2, size), np.float32)  # output pixel, square, its pixel, kernel tap
    for phase in range(2):
        for tap in range(size):
            pixel = phase + tap - (size - 1) // 2
            taps[phase, pixel // 2 - first, pixel % 2, tap] = 1
    folded = np.einsum("paxk,qbyl,klio->abxyipqo", taps, taps, kernel, optimize=True)
    squares: Array = folded.reshape((width, width, 4 * inputs, 4 * outputs))
    return squares.astype(kernel.dtype)


def in_blocks(apply: Callable[..., jax.Array], size: int, *xs: jax.Array) -> jax.Array:
    """`apply(*xs)` over axis 0 in blocks of about `size`, one after another; 0: all at once.

    On a CPU the activations of a few frames stay in its cache, those of all do not.
    """
    count = xs[0].shape[0]
    if not size or count <= size:
        return apply(*xs)
    blocks = -(-count // size)
    size = -(-count // blocks)
    index = jnp.minimum(jnp.arange(blocks * size), count - 1).reshape((blocks, size))
    out: jax.Array = jax.lax.map(lambda rows: apply(*(x[rows] for x in xs)), index)
    return out.reshape((blocks * size, *out.shape[2:]))[:count]


def fold_upsampling(kernel: Array, *, strided: bool) -> Array:
    """(K, K, I, O) -> (n, n, I, 2 · 2 · O): doubling, then convolving, as one small convolution.

    Repeating pixels twice and convolving K × K lets each of the four output phases see every
    low-resolution pixel through the sum of the taps that fall on it. For K = 5 that is 3 × 3
    and 9/25 of the multiplications. The reference's transposed form (`strided`) is the same
    with the taps on even positions masked out, since it zeroes those pixels.
    """
    size, _, inputs, outputs = kernel.shape
    first = _offset(0, 0, size)
    width = _offset(1, size - 1, size) - first + 1
    taps = np.zeros((2, width, size), np.float32)  # phase, low-resolution tap, kernel tap
    for phase in range(2):
        for tap in range(size):
            if not strided or (phase + tap - (size - 1) // 2) % 2:
                taps[phase, _offset(phase, tap, size) - first, tap] = 1
    folded: Array = np.einsum(
        "pak,qbl,klio->abipqo", taps, taps, kernel.astype(np.float32), optimize=True
    )
    return folded.reshape((width, width, inputs, 4 * outputs))


def norm(params: Params, name: str, x: jax.Array, impl: str) -> jax.Array:
    """(…, D) -> (…, D): `rms` scales, `layer` also centres and shifts, `none` does nothing."""
    kind, eps = norm_kind(impl)
    if kind == "none":
        return x
    y = x.astype(jnp.float32)
    mean2 = jnp.square(y).mean(-1, keepdims=True)
    if kind == "rms":
        y = y * (jax.lax.rsqrt(mean2 + eps) * params[f"{name}/scale"])
    else:
        mean = y.mean(-1, keepdims=True)
        var = jnp.maximum(0, mean2 - jnp.square(mean))
        y = (y - mean) * (jax.lax.rsqrt(var + eps) * params[f"{name}/scale"])
        y = y + params[f"{name}/shift"]
    return y.astype(x.dtype)


def act(name: str, x: jax.Array) -> jax.Array:
    """Any activation that the reference can name; `swiglu` halves the last axis."""
    return ACTIVATIONS[name](x)


def mlp(
    params: Params, name: str, x: jax.Array, *, layers: int, norm_impl: str, act_name: str
) -> jax.Array:
    """(…, I) -> (…, U): linear, norm, activation, `layers` times."""
    for i in range(layers):
        x = norm(params, f"{name}/norm{i}", linear(params, f"{name}/linear{i}", x), norm_impl)
        x = act(act_name, x)
    return x


def symlog(x: jax.Array) -> jax.Array:
    """sign(x) · log(1 + |x|) (Hafner et al. 2023, equation 9)."""
    return jnp.sign(x) * jnp.log1p(jnp.abs(x))


def symexp(x: jax.Array) -> jax.Array:
    """The inverse of `symlog`."""
    return jnp.sign(x) * jnp.expm1(jnp.abs(x))


def _weight(params: Params, name: str, x: jax.Array) -> jax.Array:
    return jnp.asarray(params[name]).astype(x.dtype)


def _bias(params: Params, name: str, x: jax.Array) -> jax.Array:
    """Rounded to the compute dtype like every weight, then float32 like a convolution's sums."""
    return _weight(params, f"{name}/bias", x).astype(jnp.float32)


def _conv(
    x: jax.Array, kernel: jax.Array, stride: int, padding: str | list[tuple[int, int]]
) -> jax.Array:
    """Sums in float32 and leaves the rounding to the norm that follows, as the compiler does for
    the reference: rounding here moves 0.5 % of the pixels by more than one level, this way 0.1 %.
    """
    x, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _offset(phase: int, tap: int, size: int) -> int:
    """The low-resolution pixel, relative to the output's own, under a tap of a 'same' kernel."""
    return (phase + tap - (size - 1) // 2) // 2


def _swiglu(x: jax.Array) -> jax.Array:
    value, gate = jnp.split(x, 2, -1)
    return jax.nn.silu(value) * gate


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "none": lambda x: x,
    "mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
    "swiglu": _swiglu,
    "tanh": jnp.tanh,
    "gelu": partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "soft_sign": jax.nn.soft_sign,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "log_sigmoid": jax.nn.log_sigmoid,
    "leaky_relu": jax.nn.leaky_relu,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "hard_swish": jax.nn.hard_silu,
    "hard_tanh": jax.nn.hard_tanh,
    "elu": jax.nn.elu,
    "celu": jax.nn.celu,
    "selu": jax.nn.selu,
}
