"""The trained model in use: photos in, answers out, with no stage in between.

inputs
    photos that a person names: files, folders, standard input
runs
    what a finished run leaves that answering needs, of a workspace or of an experiment
faces
    from pixels to the crops that the networks were trained on
predictor
    answers to photos, as infer would give them
answers
    what is said of each face, as a table and as lines
graph
    views, folds and combination as one network
onnx_export
    ONNX files: written, checked against torch, made smaller
package
    the folder with the model for others
card
    the model card
example
    what uses that folder without this package
drawing
    box and answer on the photo
heat
    where the networks look
batching
    single requests answered together
limits, server
    the model over HTTP: what a request may be, what is answered
loading
    a trained model, loaded without what it does not need
"""
