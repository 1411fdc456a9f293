"""A backbone's layers in groups, from the photo upwards."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from torch import Tensor, nn

from facemask.network.libraries import timm

# No name in Python begins so: no network's patterns take what lies above it for a layer of its own.
ABOVE = "~"


class Layers:
    """A backbone's weights and those above it, as timm's functions on groups of layers take them.

    Parameters
    ----------
    backbone
        A network that tells its groups by ``group_matcher``, as most of timm's do. Any other has one group for each
        direct child, or part of a child that is a sequence, that holds a matrix; smaller ones join the one below.
    above
        Further names and weights, such as those of the head.
    """

    def __init__(self, backbone: nn.Module, above: Iterable[tuple[str, Tensor]] = ()) -> None:
        self.backbone = backbone
        self.above = [(ABOVE + name, weight) for name, weight in above]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Names and weights; those above the backbone begin with :data:`ABOVE`."""
        yield from self.backbone.named_parameters()
        yield from self.above

    def group_matcher(self, coarse: bool = False) -> Any:
        """Patterns or a function that tell the groups, in timm's form."""
        own: Any = getattr(self.backbone, "group_matcher", None)
        if own is not None:
            # Some networks tell fine groups only.
            with contextlib.suppress(AssertionError):
                return own(coarse=coarse)
        return by_child(self.backbone)


def groups(backbone: nn.Module) -> list[list[Tensor]]:
    """Weights and buffers of a backbone's coarse layer groups (stem, stages), from the photo upwards.

    What no group claims, such as a last normalisation or a learnt pooling, belongs to the highest.
    """
    named = dict([*backbone.named_parameters(), *backbone.named_buffers()])
    # A name that no pattern knows tells which group is that of the unclaimed.
    names = cast(nn.Module, _Names([*named, ABOVE]))
    found = timm.models.group_parameters(names, Layers(backbone).group_matcher(coarse=True), reverse=True)
    loose = found.pop(ABOVE)
    top = max((group for group in found.values() if group != loose), default=0)
    held: list[list[Tensor]] = [[] for _ in range(top + 1)]
    for name, group in found.items():
        held[min(group, top)].append(named[name])
    return held


class _Names:
    """Names, of weights or not, where timm asks for a module's weights."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)

    def named_parameters(self) -> Iterator[tuple[str, None]]:
        for name in self.names:
            yield name, None


def has_matrix(module: nn.Module) -> bool:
    """Whether a part of a network has weights of two or more dimensions."""
    return any(weight.ndim > 1 for weight in module.parameters())


def by_child(
    network: nn.Module, prefix: str = "", opens: Callable[[nn.Module], bool] = has_matrix
) -> Callable[[str], float]:
    """Give the function that tells a weight's group: parts of ``network`` in their order, named after ``prefix``.

    Parameters
    ----------
    opens
        Whether a part begins a new group; the others join the one below.
    """
    ordinals: dict[str, float] = {}
    group = -1
    for name, child in network.named_children():
        parts = child.named_children() if isinstance(child, (nn.Sequential, nn.ModuleList)) else [("", child)]
        for part, module in parts:
            if group < 0 or opens(module):
                group += 1
            ordinals[f"{prefix}{name}.{part}." if part else f"{prefix}{name}."] = float(group)
    return lambda name: next((group for start, group in ordinals.items() if name.startswith(start)), math.inf)
