# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""What a config says about the clips that its model takes."""
from pathlib import Path

import pytest

from skel_ssl.apis.config_parts import read_clip_settings, read_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'benchmarks'
LINEAR = CONFIGS / 'linear'


def settings_of(path, **options):
    return read_clip_settings(read_config(path, options), None)


@pytest.mark.parametrize('name, persons', [('mamp_nwucla', 1),
                                           ('mamp_ntu60', 2)])
def test_no_person_is_cut_off_in_silence(name, persons):
    """The data set would take two of either."""
    assert settings_of(LINEAR / f'{name}.py').max_persons == persons


def test_data_of_any_number_of_persons():
    options = {'test_dataloader.dataset.max_persons': None}
    found = settings_of(LINEAR / 'mamp_nwucla.py', **options)
    assert found.max_persons is None


def test_the_size_of_images():
    assert settings_of(LINEAR / 'mamp_nwucla.py').img_shape is None
    flat = settings_of(CONFIGS / 'finetune' / 'skeletonmae_gym.py')
    assert flat.img_shape == (1080, 1920)
