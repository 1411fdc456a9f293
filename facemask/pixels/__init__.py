"""Pixels: decoded, encoded, stored, cut and composed.

codec
    bytes to pixels and back
archive
    many small images in one stored zip
boxes
    boxes, and cutting them out
compose
    crop, matte and background joined
"""
