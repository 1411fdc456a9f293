"""Two revisions compared on the rows that both scored: ``python -m facemask compare``.

revisions
    out-of-fold answers and params of a revision, or of the workspace
overlap
    which rows both scored, and what could not be compared
paired
    differences of scores, with intervals from a paired bootstrap over people
power
    how many people would tell a difference
changes
    answers that flipped, params and code that differ
comparison
    all of it together
text, markdown, page
    it, for a terminal, a pull request and a browser
pages
    as Markdown for a pull request, and as one HTML file
"""
