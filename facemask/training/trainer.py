"""Lightning's trainer for this machine."""

from __future__ import annotations

import sys
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import CheckpointIO

from facemask.runtime import hardware
from facemask.runtime.errors import UserError
from facemask.settings import recipes

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


def trainer(
    recipe: recipes.Recipe,
    callbacks: list[Callback],
    *,
    epochs: int,
    root: str | None = None,
    files: CheckpointIO | None = None,
) -> L.Trainer:
    """Lightning's trainer for this machine, or for one of the processes that torchrun or SLURM started.

    Raises
    ------
    UserError
        If more processes were started than there are GPUs.
    """
    gpu = torch.cuda.is_available()
    devices, machines = hardware.processes()
    if gpu and isinstance(devices, int) and devices > torch.cuda.device_count():
        raise UserError(
            f"train: {devices} processes were started on a machine with {torch.cuda.device_count()} GPUs; start one a "
            "GPU (CUDA_VISIBLE_DEVICES= trains on CPUs)"
        )
    frozen = isinstance(recipe.freeze, (recipes.HeadOnly, recipes.Gradual))
    split = devices * machines > 1 if isinstance(devices, int) else gpu and torch.cuda.device_count() > 1
    return L.Trainer(
        accelerator="auto",
        devices=devices,
        num_nodes=machines,
        # Weights that get no gradient in some epochs would otherwise hang the exchange between processes.
        strategy="ddp_find_unused_parameters_true" if frozen and split else "auto",
        max_epochs=epochs,
        precision=PRECISIONS[recipe.precision if gpu else "32"],
        accumulate_grad_batches=recipe.accumulate,
        logger=False,
        callbacks=callbacks,
        plugins=files,
        enable_checkpointing=False,
        default_root_dir=root,
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
        benchmark=gpu,
    )
