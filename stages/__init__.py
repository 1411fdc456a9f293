"""The stages of the pipeline, one a file: ``run`` does the work, ``main`` starts it from the command line."""
