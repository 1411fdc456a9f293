"""What ``params.yaml`` may say: read by all, a code dependency of no stage.

No key has a default and no value is changed on the way in, so that nothing in this room can change a result.

params
    the sections of ``params.yaml``
recipes
    what one fold's trainer reads
config
    the strict base class of every section, and the kinds of number
schema
    a walk over all of them
loading
    from YAML to checked, typed params
mistakes
    what is wrong with params, in one line
editing
    values of a YAML file changed, all else kept
presets
    named sets of params
command_lines
    what to type to change params
reference
    the page of all params, ``docs/params.md``
"""
