# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The MLP over all joints; its published form is in tests/parity."""
import pytest
import torch

from skel_ssl.models.heads import FineTuneHead


def make(**kwargs):
    torch.manual_seed(0)
    head = FineTuneHead(5, in_channels=4, num_joints=3, hidden_channels=8,
                        **kwargs)
    head.init_weights()
    return head


def features(persons=2):
    torch.manual_seed(1)
    x = torch.randn(6, 2, 4, 7, 3)
    x[:, persons:] = 0
    return x


def by_hand(head, x, present):
    """Joint by joint, person by person, in test mode."""
    clips = []
    for clip, there in zip(x, present):
        persons = [
            torch.cat([torch.cat([person[:, :, j].mean(1)
                                  for j in range(person.shape[2])]),
                       torch.cat([person[:, :, j].std(1, correction=0)
                                  for j in range(person.shape[2])])])
            for person in clip[:there]
        ]
        clips.append(torch.stack(persons).mean(0))
    return head.fc2(head.norm(head.fc1(torch.stack(clips))).relu())


@pytest.mark.parametrize('persons', [1, 2])
def test_mean_and_deviation_of_each_joint(persons):
    head, x = make(readout='joint_std').eval(), features(persons)
    torch.testing.assert_close(head(x), by_hand(head, x, [persons] * 6))


def test_deviations_are_those_of_all_tokens_in_training():
    """The dropout comes after them; that of 'joint' comes before."""
    head, x = make(readout='joint_std', dropout=.5).train(), features()
    seen = []
    head.dropout.register_forward_hook(
        lambda _, given, made: seen.append((given[0], made)))
    head(x)
    (pooled, dropped), = seen
    assert pooled.shape == (6, 2 * 3 * 4)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * pooled[kept])
    head = make(dropout=.5).train()
    head.dropout.register_forward_hook(
        lambda _, given, made: seen.append((given[0], made)))
    head(x)
    assert seen[1][0].shape == x.shape


@pytest.mark.parametrize('readout', ['joint', 'joint_std'])
def test_features_that_do_not_fit(readout):
    head = make(readout=readout)
    with pytest.raises(ValueError, match='have 2 joints of 4 channels.*'
                       'num_joints=2, in_channels=4'):
        head(features()[..., :2])


def test_no_such_readout():
    with pytest.raises(ValueError, match="'flat' must be one of .*joint_std"):
        make(readout='flat')
