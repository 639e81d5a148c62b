# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .convert import convert_state_dict
from .pretrained import load_pretrained, pretrained_init_cfg

__all__ = ['convert_state_dict', 'load_pretrained', 'pretrained_init_cfg']
