"""Stage ``infer``: the answer.

answering
    this experiment's answers, wherever they are computed
known
    photos whose class is known, and what answers to them score
submission
    the contest's answer file, checked
log
    what was answered so far, in git
entries
    what the log says of answers
drift
    whether the answers' shares differ from the labelled people's
"""
