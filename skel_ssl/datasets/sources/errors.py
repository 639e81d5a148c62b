# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.


class BadFileError(ValueError):
    """A file of a data set cannot be used; the message says where and why.

    It is the file's fault alone, so a converter can name it and go on.
    """
