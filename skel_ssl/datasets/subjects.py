# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Who performs a clip, and in which recording."""
import re
from typing import Any, Mapping, Optional

from .checks import clip_name

# NTU RGB+D (and the synthetic sample), NW-UCLA and UTD-MHAD.
PATTERNS = (
    re.compile(r'S\d{3}C\d{3}(P\d{3})R\d{3}A\d{3}'),
    re.compile(r'(?:^|/)a\d+_(s\d+)_[et]\d+'),
)


def subject_of(annotation: Mapping[str, Any]) -> Optional[str]:
    """The performer of a clip.

    Args:
        annotation (Mapping): An annotation of an MMAction2 pose pickle. Its
            ``subject``, if it has one, counts, and None says that it is
            unknown; else its name, if it is written as in NTU RGB+D
            (``S001C002P003R002A013``) or NW-UCLA (``a01_s02_e03_v01``).

    Returns:
        str, optional: The performer; None if it cannot be known.
    """
    if 'subject' in annotation:
        return _text_of(annotation['subject'])
    name = clip_name(annotation)
    for pattern in PATTERNS:
        match = pattern.search(name)
        if match:
            return match[1]
    return None


def recording_of(annotation: Mapping[str, Any]) -> Optional[str]:
    """What a clip was cut out of, the same for all cameras.

    Args:
        annotation (Mapping): An annotation of an MMAction2 pose pickle, with
            ``recording`` if it is known.

    Returns:
        str, optional: The recording; None if it cannot be known.
    """
    return _text_of(annotation.get('recording'))


def _text_of(value: Any) -> Optional[str]:
    return None if value is None else str(value)
