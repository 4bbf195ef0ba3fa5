"""Tree to binary: sources, configure and ninja, and a cache of finished builds.

::

    distribution, importing  packages, tarballs, folders -> commits   (once each)
    source     where the base comes from -> SourceTree
    toolchain  compiler and libraries    -> what else the key is made of
    recipe     options                   -> argv, key                 (pure)
    area       tree                      -> binaries in a build folder that is kept, so that little is built again
    entry      binaries                  -> Build, an entry of the cache
    arms       source and series         -> baseline and candidate
    patches    source and series         -> a build after each patch
    purpose    what an entry was made for, prune: what of the cache may go
"""
