# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Convert the skeleton files of UTD-MHAD to a pose pickle.

A file that is damaged is named, with the reason, and left out.
"""
from skel_ssl.datasets.sources import utdmhad
from skel_ssl.datasets.sources.kinect_v1 import JOINTS
from skel_ssl.utils.cli import run
from skel_ssl.utils.converting import convert_folder


def main() -> None:
    convert_folder(
        __doc__,
        'utdmhad',
        '*.mat',
        utdmhad.read_clip,
        utdmhad.make_splits,
        utdmhad.SIZES,
        joints=list(JOINTS),
        classes=list(utdmhad.CLASSES))


if __name__ == '__main__':
    run(main)
