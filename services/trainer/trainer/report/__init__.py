"""The report of a model: a page and its pictures, made when training ends.

`writing` is called by the training process; `reading` by the service. Only `drawing` needs
matplotlib.
"""
