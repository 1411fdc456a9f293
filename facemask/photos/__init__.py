"""What the photo stages share: which photos there are, the cache of results, contact sheets.

photos
    the list of photos, their bytes, and work on each that is done once
memo
    results of networks, cached by content
contact
    contact sheets
"""
