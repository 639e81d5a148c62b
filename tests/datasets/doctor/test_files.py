# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Findings about whole files, worked out by hand on small ones."""
import numpy as np
import pytest

from skel_ssl.datasets.doctor import examine
from skel_ssl.datasets.doctor.splits import clean_name, find_protocols
from skel_ssl.datasets.doctor.summary import summarise
from skel_ssl.datasets.layouts import get_layout


def make(names, joints=20, seed=0, **changes):
    """Clips of upright bodies that sway, with subject, view and label."""
    rng = np.random.default_rng(seed)
    annotations = []
    for name in names:
        body = rng.uniform(-.4, .4, (1, 1, joints, 3))
        body[..., 1] = np.linspace(-.75, .75, joints)[::-1]
        if joints == 20:
            body[0, 0, [0, 3], 1] = 0, .75  # the hips and the head
        sway = rng.normal(0, .01, (1, 12, joints, 3))
        keypoint = (body + sway).astype(np.float32)
        annotations.append(
            dict(frame_dir=name, label=0, total_frames=12, keypoint=keypoint,
                 **changes))
    return annotations


def find(annotations, split=None, **more):
    if split is None:
        split = dict(train=[x['frame_dir'] for x in annotations])
    return examine(dict(annotations=annotations, split=split, **more))


def messages(found, code):
    return [x.message for x in found.findings if x.code == code]


def codes(found):
    return {x.code for x in found.findings}


def test_nothing_to_say():
    found = find(make('ab'), dict(train=['a'], val=['b']), classes=['walk'])
    assert found.findings == []
    assert found.clean


def test_no_clips():
    assert codes(find([], {})) == {'no-clips', 'no-split'}


def test_unlabelled_files_are_for_pre_training():
    clips = make('ab')
    for clip in clips:
        del clip['label']
    assert codes(find(clips)) == {'unlabelled', 'lone-split'}


def test_gaps_in_the_labels():
    clips = make('abc')
    clips[1]['label'], clips[2]['label'] = 2, 5
    found = find(clips, classes=['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    assert messages(found, 'label-gap') == [
        '4 classes of 7 without a clip: 1 (b), 3 (d), 4 (e), 6 (g)']
    assert found.clean


def test_a_huge_label_is_not_counted_out():
    clips = make('ab')
    clips[0]['label'] = 10**15
    message, = messages(find(clips), 'label-gap')
    assert message.startswith(f'{10**15 - 1} classes of {10**15 + 1} without')


def test_classes_that_are_not_trained():
    clips = make('abc')
    clips[2]['label'] = 1
    found = find(clips, dict(train=['a'], val=['b', 'c']))
    assert [x.clips for x in found.findings
            if x.code == 'class-untrained'] == [['c']]


@pytest.mark.parametrize('classes', [3, [1, 2], 'ab'])
def test_odd_names_of_classes(classes):
    found = find(make('ab'), classes=classes)
    assert ('class-names' in codes(found)) == (classes != 'ab')


def test_joint_names_that_do_not_fit():
    assert 'class-names' in codes(find(make('ab'), joints=['head', 'foot']))


@pytest.mark.parametrize('size, unit', [(1, 'metres'), (100, 'centimetres'),
                                        (1000, 'millimetres'), (12, None)])
def test_units(size, unit):
    clips = make('abcd')
    for clip in clips:
        clip['keypoint'] *= size
    found = find(clips)
    assert summarise(found)['body']['unit'] == unit
    assert ('units' in codes(found)) == (unit != 'metres')
    assert 'flung-joint' not in codes(found)


@pytest.mark.parametrize('axes, sign, up', [
    ([0, 1, 2], 1, '+y'), ([0, 1, 2], -1, '-y'), ([0, 2, 1], 1, '+z'),
    ([1, 0, 2], -1, '-x')])
def test_up_axis(axes, sign, up):
    clips = make('abcd')
    for clip in clips:
        clip['keypoint'] = sign * clip['keypoint'][..., axes]
    assert summarise(find(clips))['body']['up'] == up


def test_few_turned_clips_are_a_warning_and_many_a_fault():
    clips = make([f'clip{i}' for i in range(150)])
    clips[3]['keypoint'] = clips[3]['keypoint'][..., [0, 2, 1]]
    assert find(clips).clean
    clips[4]['keypoint'] = clips[4]['keypoint'][..., [0, 2, 1]]
    finding, = (x for x in find(clips).findings if x.code == 'mixed-up-axis')
    assert finding.severity == 'fault'
    assert finding.details == ['+z is up, +y elsewhere'] * 2


def test_a_body_in_one_point():
    clips = make('abcd')
    clips[2]['keypoint'][:] = .5
    finding, = (x for x in find(clips).findings if x.code == 'mixed-units')
    assert finding.clips == ['c']
    assert finding.details == ['a body is 0 long, 1.5 elsewhere']


def test_a_body_that_falls_has_the_same_up_axis():
    clips = make('abcd')
    keypoint = clips[0]['keypoint']
    keypoint[:, 1:] = keypoint[:, 1:][..., [1, 0, 2]]
    assert 'mixed-up-axis' not in codes(find(clips))


def test_layouts():
    other = make('ab', joints=15)
    found = find(other)
    assert {'layout-unknown'} == codes(found) - {'lone-split'}
    found = examine(dict(annotations=other, split={}), get_layout('ntu25'))
    assert [x.clips for x in found.findings
            if x.code == 'joint-count'] == [['a', 'b']]


def test_the_rare_number_of_joints_is_the_wrong_one():
    found = find(make('abc') + make('d', joints=25))
    finding, = (x for x in found.findings if x.code == 'joint-count')
    assert finding.clips == ['d']
    assert finding.details == ["has 25 joints, the layout 'kinect20' has 20"]


def test_poses_in_pictures():
    clips = make('abcd', joints=17)
    for i, clip in enumerate(clips):
        pixels = 900 - 30 * (1 + 9 * i) * clip['keypoint'][..., :2]
        clip['keypoint'] = pixels
        clip['keypoint_score'] = np.ones((1, 12, 17), np.float16)
        clip['keypoint_score'][:, :3] = 0  # nobody is seen
    found = find(clips)
    assert codes(found) == {'lone-split', 'empty-ends'}
    assert {x.details[0] for x in found.findings
            if x.code == 'empty-ends'} == {'3 of 12 frames'}
    body = summarise(found)['body']
    assert (body['unit'], body['layout']) == ('pixels', 'coco17')


def test_cameras_and_setups_on_both_sides():
    names = ['S001C002P001R001A001', 'S002C003P001R001A001',
             'S003C002P002R001A001', 'S004C001P003R001A001']
    split = dict(xview_train=names[:2], xview_val=names[2:],
                 xset_train=names[1::2], xset_val=names[::2])
    found = find(make(names), split)
    assert [(x.place, x.code, x.clips) for x in found.findings
            if x.code.startswith('leak')] == [
                ('xview', 'leak-camera', [names[2]])]
    clips = make(names)
    clips[0]['setup'] = 4  # what the annotation says counts
    assert [(x.place, x.code, x.clips) for x in find(clips, split).findings
            if x.code == 'leak-setup'] == [('xset', 'leak-setup', [names[0]])]


@pytest.mark.parametrize('name, promise', [
    ('xsub', True), ('ntu60_xsub', True), ('cross-subject', True),
    ('cs', True), ('xsub2', True), ('within_subject', False),
    ('max_subset', False), ('cs1', False), ('all', False)])
def test_what_a_name_promises(name, promise):
    split = {f'{name}_train': ['a'], f'{name}_val': ['b']}
    found = find(make('ab', subject=1), split)
    assert ('leak-subject' in codes(found)) == promise


def test_a_fault_that_the_doctor_has_no_name_for(monkeypatch):
    monkeypatch.setattr('skel_ssl.datasets.doctor.clips.clip_fault',
                        lambda annotation: 'is odd')
    finding, = (x for x in find(make('a')).findings if x.clips == ['a'])
    assert (finding.code, finding.details) == ('unusable', ['is odd'])


def test_who_acts_is_not_known():
    split = dict(xsub_train=['a'], xsub_val=['b'])
    assert codes(find(make('ab'), split)) == {'group-unknown'}
    assert codes(find(make('ab', subject=None), split)) == {'group-unknown'}


def test_copies_within_a_split():
    clips = make('ab')
    clips.append(dict(clips[0], frame_dir='c'))
    finding, = (x for x in find(clips).findings if x.code == 'copied-clip')
    assert (finding.clips, finding.details) == (['c'], ['equals a'])
    assert finding.severity == 'warning'


def test_names_of_protocols():
    protocols, alone = find_protocols(
        ['train', 'val', 'test', 'xsub_train', 'xsub_val', 'train1', 'test1',
         'fold2_training', 'fold2_validation', 'unlabelled', 'few_train'])
    assert [(p.name, p.train, p.test) for p in protocols] == [
        ('all', 'train', 'val'), ('all', 'train', 'test'),
        ('xsub', 'xsub_train', 'xsub_val'), ('1', 'train1', 'test1'),
        ('fold2', 'fold2_training', 'fold2_validation')]
    assert 'unlabelled, few_train' in alone[0].message
    assert clean_name('xview_val') == 'xview_clean_val'
    assert clean_name('test1') == 'clean_test1'
