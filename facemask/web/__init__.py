"""What servers on a person's own machine share.

local
    who may ask, what a page may load, how errors are told, and how a server is started
"""
