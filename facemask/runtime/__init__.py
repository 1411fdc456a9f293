"""How work is started, pool, shown and written.

launch
    from the command line to a stage's ``run``
inputs
    what a stage was given, compared at its end
parent
    a process ends with the one that started it, and by Ctrl-C in one line
ending
    a process ends without taking apart what libraries made
executor
    several processes or threads, results in order
cluster
    the same over several machines, through Ray
arrays
    types of arrays
hardware
    cores, processes, the machine in words
threads
    torch kept to one thread
progress
    bars and plain lines
files
    atomic writes and checksummed reads
shortages
    lack of room, permission or memory, in one line
imports
    big libraries without what they would import for nothing
refusals
    what onnxruntime raises for files that it cannot use
errors
    the one exception that a user sees
"""
