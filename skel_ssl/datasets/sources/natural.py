# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import re
from typing import List, Union


def natural_key(text: str) -> List[Union[str, int]]:
    """Sorts numbers within texts by their value: s2 before s10."""
    words = re.split(r'(\d+)', text)
    return [int(word) if i % 2 else word for i, word in enumerate(words)]
