"""Pictures of networks and their results: plain data in, the bytes of a PNG out.

One file per kind of picture. The same data give the same bytes. Class names may be any text:
fonts are looked for on the system, and a name for which there is none is written `class 3`.
Import a picture's own module: matplotlib takes half a second to load.
"""
