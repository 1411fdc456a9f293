"""Stage ``fix_labels``: what each photo's true label is.

fixes
    known wrong labels, and which of them apply
extra
    data sets beside the main one, for training only
health
    which photo files can be read at all
"""
