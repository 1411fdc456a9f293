"""One measurement in a process of its own: ``python -m benchmarks.speed MODULE EFFORT OUT``, both in JSON."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.outcome import Effort, Outcome


def main() -> None:
    """Measure and write the outcome."""
    module, text, out = sys.argv[1:]
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(text).items()
    }
    found = importlib.import_module(f"benchmarks.speed.{module}").measure(Effort(**given))
    assert isinstance(found, Outcome)
    Path(out).write_text(json.dumps(asdict(found), allow_nan=False))


if __name__ == "__main__":
    main()
