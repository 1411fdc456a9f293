"""Classes, bands, tables and their schemas, and where data sets lie; without torch.

classes
    the 18 classes and the official age bands
bands
    the trainer's age bands, as the manifest hands them on
raw
    the contest's folder layout
links
    which symbolic links in a data set are taken
revisions
    files of a project as they were at a revision
roots
    which folder a photo's key belongs to
encodings
    text of tables that people made
names
    which names are equal, and which can stand in a table
csvfile
    CSV files as text, with the line where each row stands
left_out
    the line that a stage ends with
tables
    the CSV files between stages, and their schemas
"""
