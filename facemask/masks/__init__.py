"""Face masks, drawn alike on the sample's people (``sample``) and on photographed faces (``synthesis``).

looks
    style, colour and pattern of a mask, where it sits, its outline, cloth and ear loops
raster
    arithmetic, filters and polygons that give the same bytes on every CPU
"""
