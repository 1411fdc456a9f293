"""More processes than GPUs are refused in one line."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, recipes
from facemask.training import trainer


def test_two_processes_on_one_gpu_are_refused(
    toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)
    assert isinstance(recipe, recipes.Recipe)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    with pytest.raises(UserError, match="2 processes were started on a machine with 1 GPUs; start one a GPU"):
        trainer.trainer(recipe, [], epochs=1)
