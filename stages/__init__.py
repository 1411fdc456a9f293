"""The stages of the pipeline, one a file: ``run`` does the work, ``main`` starts it from the command line."""

import os

from facemask.runtime import imports, parent

# Set by DVC: a stage begins here, before it imports what takes seconds.
if "DVC_STAGE" in os.environ:
    parent.quietly()
    parent.follow()
    imports.begin()
