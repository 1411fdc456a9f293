"""Which rows and columns of its input a network never looks at, such as what is left over beside whole patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from facemask.network import backbones
from facemask.settings import recipes

Size = tuple[int, int]

# Sizes tried on either side, pixels: as far as any patch of timm's networks.
_FAR: Final = 32
_aten: Final = torch.ops.aten
_WINDOWED: Final = (
    _aten.convolution.default, _aten.max_pool2d_with_indices.default, _aten.avg_pool2d.default,
)  # fmt: skip


def unseen(network: nn.Module, cfg: recipes.Backbone, size: Size) -> tuple[Size, Size]:
    """Count the rows and columns of an input that can change no feature, and find a size without such.

    The layers' shapes tell whether any of them leaves something out: no number is computed, so the largest network
    takes a moment. If only the windows over the input itself do, that is the answer; where a later layer does, the
    gradient with respect to the input decides, at weights by chance.

    Parameters
    ----------
    network
        Made from ``cfg`` for ``size``; its weights may lie on torch's device ``meta``.
    size
        Height and width of the input, pixels.

    Returns
    -------
    tuple
        Rows and columns that are never looked at; the nearest height and width of which the network sees all, the
        larger of two that are equally near, or ``size`` itself where none near it will do.
    """
    where = next((weight.device for weight in network.parameters()), None)
    photo = torch.zeros(1, 3, *size, device=where)
    reads = _Reads()
    with reads, torch.no_grad():
        network(photo)
    found = reads.found
    windows = found.pop(id(photo), _Read(photo, whole=True))
    if any(read.leaves_out() for read in found.values()):
        missed = _by_gradient(cfg, size)
    elif windows.leaves_out():
        missed = windows.missed
    else:
        return (0, 0), size
    lost = (missed(0, size[0]), missed(1, size[1]))
    if not any(lost):
        return (0, 0), size
    return lost, (_nearest(missed, 0, size[0]), _nearest(missed, 1, size[1]))


def _nearest(missed: Callable[[int, int], int], axis: int, length: int) -> int:
    near = (length + sign * far for far in range(_FAR + 1) for sign in (1, -1))
    return next((one for one in near if one > 0 and not missed(axis, one)), length)


@dataclass(frozen=True)
class _Window:
    """What slides over an input; of each quantity the value along the height and along the width."""

    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    ceil: bool

    def touched(self, axis: int, length: int) -> set[int]:
        """Places of 0 to ``length`` that lie under it anywhere."""
        kernel, step, pad, apart = (
            each[axis % len(each)] for each in (self.kernel, self.stride, self.padding, self.dilation)
        )
        room = length + 2 * pad - apart * (kernel - 1) - 1
        count = (-(-room // step) if self.ceil else room // step) + 1
        return {place * step - pad + apart * tap for place in range(count) for tap in range(kernel)}


@dataclass
class _Read:
    """What reads one tensor: windows, or also something that takes it whole."""

    tensor: Tensor
    windows: list[_Window] = field(default_factory=list)
    whole: bool = False

    def missed(self, axis: int, length: int) -> int:
        """Count the places of ``length`` that lie under no window."""
        return len(set(range(length)).difference(*(window.touched(axis, length) for window in self.windows)))

    def leaves_out(self) -> bool:
        """Whether windows alone read it, and leave something out."""
        return not self.whole and any(self.missed(axis, self.tensor.shape[2 + axis]) for axis in (0, 1))


class _Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Note what reads which tensor of shape (N, C, H, W), by the tensor's identity."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: dict[int, _Read] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and note what it read."""
        named = {one.name: one.default_value for one in func._schema.arguments}
        named |= dict(zip(named, args, strict=False)) | dict(kwargs or {})
        window = _window(named) if func in _WINDOWED and not named.get("transposed") else None
        # What works in place, such as an activation, hands the same tensor on.
        if not func._schema.is_mutable:
            for one in tree_leaves([args, kwargs]):
                if isinstance(one, Tensor) and one.ndim == 4:
                    # The tensor is kept, so that no later one gets its identity.
                    read = self.found.setdefault(id(one), _Read(one))
                    if window is None or one is named.get("weight"):
                        read.whole = True
                    else:
                        read.windows.append(window)
        return func(*args, **(kwargs or {}))


def _window(named: Mapping[str, Any]) -> _Window:
    kernel = named["weight"].shape[2:] if "weight" in named else named["kernel_size"]
    return _Window(
        kernel=tuple(kernel),
        # A pool without a stride moves by its size.
        stride=tuple(named["stride"]) or tuple(kernel),
        padding=_pair(named["padding"]),
        dilation=_pair(named.get("dilation", 1)),
        ceil=bool(named.get("ceil_mode")),
    )


def _pair(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def _by_gradient(cfg: recipes.Backbone, size: Size) -> Callable[[int, int], int]:
    """Return what counts the rows (axis 0) or columns of an input whose gradient is 0, one of the lengths changed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = backbones.build(cfg, size, pretrained=False).eval().requires_grad_(False)
        for weight in network.parameters():
            # Scales that begin at zero would switch a branch off, and what it sees with it.
            if not weight.any():
                weight.normal_()
        noise = torch.rand(1, 3, size[0] + _FAR, size[1] + _FAR)

    def missed(axis: int, length: int) -> int:
        height, width = (length, size[1]) if axis == 0 else (size[0], length)
        photo = noise[..., :height, :width].clone().requires_grad_()
        try:
            features = network(photo)
        except (ArithmeticError, AssertionError, RuntimeError):
            return length
        # A plain sum after a normalisation would have no gradient at all.
        (features * torch.linspace(0.5, 1.5, features.numel()).view_as(features)).sum().backward()
        assert photo.grad is not None
        dead = photo.grad[0].abs().amax(0) == 0
        return int(dead.all(1 - axis).sum())

    return missed
