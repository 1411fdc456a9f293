"""Stage ``report``: what people look at.

inputs
    everything the page is made of, read from what the stages wrote
facts
    what is measured of each photo: brightness, sharpness, size of the face
slices
    scores of parts of the people, with intervals
drift
    labelled against eval photos: distributions, predicted classes, adversarial validation
examples
    the most confident mistakes, and hits beside them
gradcam
    heat maps of where the network looks
thumbnails
    small pictures as data URIs, and contact sheets, the worst first
omissions
    what stages left out, borrowed or answered without looking
charts
    geometry of the page's charts
sections
    the page's content, section by section
page
    one HTML file from the content and the room's templates
population, content, gallery
    the page's data, what its templates ask for, its pictures
"""
