"""Types of arrays, by what they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Photos (H, W, 3) or (N, H, W, 3), RGB, and mattes (H, W): 0..255.
Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
# (N, 18) probabilities, rows summing to 1.
Table = npt.NDArray[np.float64]
