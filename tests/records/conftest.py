"""How the property tests of this room are run."""

from __future__ import annotations

import hypothesis

# The same cases on every run and no folder of found ones; a shared machine makes single cases slow by chance.
hypothesis.settings.register_profile(
    "records", max_examples=40, deadline=None, derandomize=True, database=None, print_blob=False
)
hypothesis.settings.load_profile("records")
