# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
from .convert import convert_state_dict
from .convert_checkpoint import convert_checkpoint
from .export import export_onnx, load_for_export
from .feature_extractor import ClipFeatures, FeatureExtractor
from .init_model import init_model
from .inputs import ClipReader, InputError
from .pretrained import load_pretrained, pretrained_init_cfg
from .skeleton_inferencer import SkeletonInferencer

__all__ = [
    'ClipFeatures', 'ClipReader', 'FeatureExtractor', 'InputError',
    'SkeletonInferencer', 'convert_checkpoint', 'convert_state_dict',
    'export_onnx', 'init_model', 'load_for_export', 'load_pretrained',
    'pretrained_init_cfg'
]
