"""Our answers for manifest rows, wherever they are computed."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from facemask.network import checkpoints, reader
from facemask.network.predict import predict
from facemask.runtime import cluster, executor, hardware, threads
from facemask.runtime.arrays import Pixels, Table
from facemask.runtime.errors import UserError
from facemask.settings import params

# Batches that a GPU's worker takes at once, so that the next are decoded while it computes.
_RUN: Final = 8


class Answerer:
    """Gives rows the trained folds' mean probabilities.

    May be pickled: networks and archives are opened where the first row comes.

    Parameters
    ----------
    cfg
        Views and batches.
    folds
        Folders of the trained folds.
    faces, mattes
        See :class:`facemask.network.reader.PhotoReader`.
    """

    def __init__(self, cfg: params.Infer, folds: Sequence[Path], faces: Path, mattes: Path) -> None:
        self.cfg, self._folds, self._pixels = cfg, tuple(folds), (faces, mattes)
        # A GPU sums otherwise: a worker elsewhere has to do as this process would.
        self._cuda = torch.cuda.is_available()

    @functools.cached_property
    def trained(self) -> list[checkpoints.Checkpoint]:
        """The folds' networks.

        Raises
        ------
        UserError
            If one is missing or damaged, or they were trained on different pixels.
        """
        found = [checkpoints.load(folder) for folder in self._folds]
        if any(checkpoint.recipe.image != found[0].recipe.image for checkpoint in found):
            raise UserError(
                f"{self._folds[0].parent}: the folds were trained on different pixels (train.image); "
                "run `dvc repro train`"
            )
        return found

    def answers(self, rows: Sequence[reader.Row], engine: params.Engine) -> Iterator[Table]:
        """Yield the probabilities (n, 18) of some rows after the other, in order.

        On CPUs each batch is one core's: several batches at once keep all of them busy, which many threads on one
        small batch do not, and the sums come out the same on any number of cores.

        Raises
        ------
        UserError
            See :func:`facemask.runtime.cluster.workers` and :meth:`__call__`.
        """
        alone = self._cuda or self.cfg.compile
        local = functools.partial(executor.threads, workers=1 if alone else hardware.cores())
        step = self.cfg.batch_size * (_RUN if self._cuda else 1)
        runs = [rows[start : start + step] for start in range(0, len(rows), step)]
        with contextlib.ExitStack() as stack:
            if not self._cuda:
                stack.enter_context(threads.one_thread())
            pool = stack.enter_context(cluster.workers(engine, local=local, gpus=int(self._cuda)))
            yield from pool(self, runs)

    def __call__(self, rows: Sequence[reader.Row]) -> Table:
        """Return (N, 18) probabilities.

        Raises
        ------
        UserError
            See :attr:`trained`, :func:`facemask.network.predict.predict` and
            :class:`facemask.network.reader.PhotoReader`; also if the process that made this had a GPU and this one has
            not.
        """
        if self._cuda and not torch.cuda.is_available():
            raise UserError("infer: this machine has a GPU, a worker of the Ray cluster has none")
        if self._cuda:
            chunks = self._reader.stream(rows, self.cfg.batch_size)
        else:
            chunks = iter([np.stack([self._reader.read(row) for row in rows])])
        return self.composed(chunks)

    def composed(self, chunks: Iterable[Pixels]) -> Table:
        """Return (N, 18) probabilities of composed photos, (n, height, width, 3) uint8 each.

        Raises
        ------
        UserError
            See :attr:`trained` and :func:`facemask.network.predict.predict`.
        """
        return predict(
            [checkpoint.model for checkpoint in self.trained],
            chunks,
            self.cfg.views,
            self.cfg.average,
            precision=self.cfg.precision,
            compiled=self.cfg.compile,
        )

    @functools.cached_property
    def _reader(self) -> reader.PhotoReader:
        return reader.PhotoReader(*self._pixels, self.trained[0].recipe.image)

    def __getstate__(self) -> dict[str, Any]:
        """Leave networks and open files behind when pickled."""
        return {name: value for name, value in vars(self).items() if name not in ("trained", "_reader")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Compute as the process would that this comes from."""
        vars(self).update(state)
        if not self._cuda:
            torch.set_num_threads(1)
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
