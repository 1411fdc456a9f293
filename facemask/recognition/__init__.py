"""Which photos show the same face, shared by audit, evaluate and infer; without torch.

framing
    the square that a face network is shown
embedding
    a face network from an ONNX file
groups
    faces that are alike, and answers shared within a group
identity
    the photos of one set grouped by face
sheet
    a picture of the groups
"""
