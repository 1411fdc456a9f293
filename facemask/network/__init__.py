"""The network: shared by train and infer.

reader
    composed photos by manifest row
backbones, facenet, weights, pooling, layers
    photos in, features out; where weights come from; groups of layers
heads, outputs, ages, dropout, angular
    features in, logits and an (N, 18) table out
classifier
    backbones and head
checkpoints
    a trained fold as a folder: tensors and a JSON of everything needed to predict
predict
    (N, 18) tables from photos, averaged over views and folds
tta
    test-time augmentation: the views of a photo
libraries
    timm, without what it would import for nothing
onnx_file
    networks from ONNX files, as backbones
"""
