"""Mail to tree: reads a patch series as it was posted, and applies it, or says which patch fails, where and why.

::

    archive   Message-ID  -> raw mails               (through b4)
    mailbox   path        -> raw mails
    mail      raw mail    -> headers and text        (subject, diff: parts of it)
    assemble  mails       -> Series                  the judgement: what is a patch, which revision, what is missing
    apply     Series      -> commits and a tree      in a repository of the lab's own, without a work tree
    diagnosis hunk, file  -> why it does not apply
"""
