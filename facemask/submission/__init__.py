"""Stage ``infer``: the answer.

answering
    this experiment's answers, wherever they are computed
submission
    the contest's answer file, checked
"""
