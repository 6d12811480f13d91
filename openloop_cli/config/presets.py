"""The reference's model sizes, `size1m` to `size400m` in its configs.yaml, to name a run by."""

from openloop_cli.config.settings import ModelConfig

# deter, hidden, classes, depth, units; all of them scale together.
SIZES = {
    "size1m": (512, 64, 4, 4, 64),
    "size12m": (2048, 256, 16, 16, 256),
    "size25m": (3072, 384, 24, 24, 384),
    "size50m": (4096, 512, 32, 32, 512),
    "size100m": (6144, 768, 48, 48, 768),
    "size200m": (8192, 1024, 64, 64, 1024),
    "size400m": (12288, 1536, 96, 96, 1536),
}
_NAMES = ("deter", "hidden", "classes", "depth", "units")
_MOST_OTHER = 2


def nearest_preset(model: ModelConfig, *, images: bool) -> tuple[str, tuple[str, ...]] | None:
    """The preset that shares most sizes and a line for each other one; None when few are shared.

    Args:
      images: The run has image observations; without them `depth` means nothing.
    """
    found = (
        {model.dyn.deter},
        {model.dyn.hidden},
        {model.dyn.classes},
        {model.enc.depth, model.dec.depth} if images else set(),
        {part.units for part in (model.enc, model.dec, model.reward, model.cont, model.value)},
    )
    others = {
        name: tuple(
            f"{what} {', '.join(map(str, sorted(values)))} instead of {size}"
            for what, size, values in zip(_NAMES, sizes, found, strict=True)
            if values - {size}
        )
        for name, sizes in SIZES.items()
    }
    name = min(others, key=lambda name: len(others[name]))
    return (name, others[name]) if len(others[name]) <= _MOST_OTHER else None
