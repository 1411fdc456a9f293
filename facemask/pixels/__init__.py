"""Pixels: decoded, encoded, stored, cut and composed.

codec
    bytes to pixels and back
kinds
    what the bytes of a file are that should be a photo
depth
    grey samples of more than 8 bits
archive
    many small images in one stored zip
boxes
    boxes, and cutting them out
compose
    crop, matte and background joined
"""
