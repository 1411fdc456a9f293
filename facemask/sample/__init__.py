"""The embedded sample: drawn people in the contest's layout, without torch.

canvas
    the surface: curves, noise, layers of colour, slope and gloss
identity
    who a person is: traits that stay the same over seven photos
face, eyes, mouth
    the bare head, and what is painted on it
hair, hairstyle, body, mask
    what is worn: strands, clothes; face masks come from the room ``masks``
background, light
    what is behind a person and what falls on it
photo
    one photo: circumstances, pose, camera
roster
    which people there are: quotas, ids, planted label errors
contest
    writes the folders
"""
