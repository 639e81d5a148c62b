# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Pre-train, probe, test: what the tools hand on, and how they refuse."""
import argparse
import importlib.util
import json
import pickle
import sys
from contextlib import redirect_stderr
from io import StringIO
from itertools import count

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skel_ssl.models.ops.pooling import pool_tokens
from skel_ssl.registry import DATASETS, MODELS
from skel_ssl.utils import cli
from tests.tools.conftest import (
    NUM_CLASSES,
    NUM_TRAIN,
    NUM_VAL,
    PRETRAIN,
    ROOT,
    TINY_ENCODER,
    TINY_KNN,
    TINY_PRETRAIN,
    TINY_PROBE,
    free_port,
    load_weights,
    read_log,
    training_log,
    under,
)

LINEAR = 'configs/benchmarks/linear/skel2vec_demo.py'
KNN = 'configs/benchmarks/knn/skel2vec_demo.py'
TINY_PROBE_TEST = (*TINY_ENCODER, 'model.cls_head.in_channels=16',
                   f'model.cls_head.num_classes={NUM_CLASSES}',
                   'test_dataloader.num_workers=0',
                   'test_dataloader.batch_size=3')
TEACHER, STUDENT = 'target.teacher.module.', 'backbone.'


def same(weights, others):
    assert weights.keys() == others.keys()
    return all(torch.equal(weights[name], others[name]) for name in weights)


def metrics_of(work_dir):
    """What the only test in a work dir found."""
    (file, ) = work_dir.glob('*/*.json')
    return json.loads(file.read_text())


@pytest.fixture(scope='module')
def probe(run_tool, pretrained, tmp_path_factory):
    """The work dir of a linear probe."""
    work_dir = tmp_path_factory.mktemp('probe')
    run_tool('tools/train.py', LINEAR, '--pretrained', pretrained,
             '--work-dir', work_dir, '--cfg-options', *TINY_PROBE)
    return work_dir


@pytest.fixture(scope='module')
def predictions(run_tool, probe):
    """What ``tools/test.py`` dumps for the probe."""
    dump = probe / 'predictions.pkl'
    run_tool('tools/test.py', LINEAR, probe / 'epoch_2.pth', '--dump', dump,
             '--work-dir', probe / 'test', '--cfg-options', *TINY_PROBE_TEST)
    return pickle.loads(dump.read_bytes())


@pytest.fixture
def call_tool(skel_data, tmp_path, monkeypatch):
    """Run a tool in this process, which saves the seconds of a start."""
    runs = count()

    def call_tool(name, *args, options=(), code=0):
        """Returns the work dir and what went to stderr."""
        spec = importlib.util.spec_from_file_location(
            f'{name}_tool', ROOT / 'tools' / f'{name}.py')
        tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tool)
        # Runs of the same second would share a logger and a visualizer.
        work_dir = tmp_path / f'{name}{next(runs)}'
        argv = [
            name, *args, '--work-dir', work_dir, '--cfg-options',
            f'experiment_name={work_dir}', *options
        ]
        monkeypatch.setattr(sys, 'argv', [str(arg) for arg in argv])
        exit_code = 0
        # Not capsys: the runner's logger would outlive its stdout.
        with redirect_stderr(StringIO()) as stderr:
            try:
                cli.run(tool.main)
            except SystemExit as error:
                exit_code = error.code
        assert exit_code == code, stderr.getvalue()
        return work_dir, stderr.getvalue()

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv('SKEL_DATA', str(skel_data))
    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set
    return call_tool


class TestLinearProbe:

    def test_the_encoder_is_the_frozen_teacher(self, pretrained, probe):
        source = load_weights(pretrained)
        teacher, student = under(TEACHER, source), under(STUDENT, source)
        assert not same(teacher, student)
        weights = load_weights(probe / 'epoch_2.pth')
        assert same(under('backbone.', weights), teacher)
        batches = weights['cls_head.norm.num_batches_tracked']
        assert batches == 2 * NUM_TRAIN // 4

    def test_the_head_learns(self, probe):
        log = training_log(probe)
        assert log[8]['loss'] < log[1]['loss']

    def test_a_prefix_chooses_the_student(self, pretrained, call_tool):
        work_dir, _ = call_tool(
            'train',
            LINEAR,
            '--pretrained',
            pretrained,
            '--pretrained-prefix',
            STUDENT,
            options=(*TINY_PROBE, 'train_cfg.max_epochs=1'))
        weights = load_weights(work_dir / 'epoch_1.pth')
        student = under(STUDENT, load_weights(pretrained))
        assert same(under('backbone.', weights), student)

    def test_testing_finds_what_the_last_validation_found(
            self, probe, predictions):
        assert len(predictions) == NUM_VAL
        accuracy = metrics_of(probe / 'test')['acc/top1']
        assert accuracy == np.mean([
            int(sample['pred_score'].argmax()) == int(sample['gt_label'])
            for sample in predictions
        ])
        (validation, ) = (r for r in read_log(probe) if 'acc/top1' in r)
        assert accuracy == validation['acc/top1']

    def test_two_processes_find_the_same(self, run_tool, probe, predictions,
                                         tmp_path):
        dump = tmp_path / 'predictions.pkl'
        done = run_tool(
            'tools/dist_test.sh',
            LINEAR,
            probe / 'epoch_2.pth',
            2,
            '--dump',
            dump,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            *TINY_PROBE_TEST,
            PORT=str(free_port()))
        found = pickle.loads(dump.read_bytes())
        assert len(found) == NUM_VAL
        for sample, expected in zip(found, predictions):
            assert sample['frame_dir'] == expected['frame_dir']
            torch.testing.assert_close(sample['pred_score'],
                                       expected['pred_score'])
        # Not from the file of metrics: mmengine writes it from each process
        # at the same time.
        accuracy = metrics_of(probe / 'test')['acc/top1']
        assert f'acc/top1: {accuracy:.4f}' in done.stdout


class TestKNN:

    @pytest.fixture
    def clips(self, skel_data, monkeypatch):
        """Clips of both splits as the model sees them, labels."""
        monkeypatch.setenv('SKEL_DATA', str(skel_data))
        init_default_scope('mmaction')
        cfg = Config.fromfile(ROOT / KNN)
        samples = list(DATASETS.build(cfg.test_dataloader.dataset))
        return (torch.cat([sample['inputs'].float() for sample in samples]),
                [int(sample['data_samples'].gt_label) for sample in samples])

    def test_pretrained(self, run_tool, pretrained, clips, tmp_path):
        dump = tmp_path / 'features.pkl'
        run_tool('tools/test.py', KNN, '--pretrained', pretrained, '--dump',
                 dump, '--work-dir', tmp_path, '--cfg-options', *TINY_KNN)
        samples = pickle.loads(dump.read_bytes())
        dumped = torch.stack([sample['feature'] for sample in samples])

        inputs, labels = clips
        cfg = Config.fromfile(ROOT / KNN)
        cfg.merge_from_dict({
            'model.backbone.embed_dims': 16,
            'model.backbone.depth': 2
        })
        teacher = MODELS.build(cfg.model.backbone).eval()
        teacher.load_state_dict(under(TEACHER, load_weights(pretrained)))
        with torch.no_grad():
            features = pool_tokens(teacher(inputs))
        torch.testing.assert_close(dumped, features, rtol=0, atol=1e-5)

        unit = features / features.norm(dim=1, keepdim=True)
        nearest = (unit[NUM_TRAIN:] @ unit[:NUM_TRAIN].T).argmax(1)
        hits = [
            labels[i] == label
            for i, label in zip(nearest.tolist(), labels[NUM_TRAIN:])
        ]
        assert metrics_of(tmp_path)['knn/top1_k1'] == np.mean(hits)

    def test_untrained_is_an_encoder_drawn_from_the_seed(
            self, call_tool, tmp_path):

        def features(seed):
            dump = tmp_path / f'{seed}.pkl'
            work_dir, _ = call_tool(
                'test',
                KNN,
                '--untrained',
                '--seed',
                seed,
                '--dump',
                dump,
                options=TINY_KNN)
            assert {'knn/top1_k1', 'knn/top1_k5'} <= set(metrics_of(work_dir))
            samples = pickle.loads(dump.read_bytes())
            return torch.stack([sample['feature'] for sample in samples])

        first = features(1)
        assert torch.equal(first, features(1))
        assert not torch.allclose(first, features(2), atol=.1)


def test_amp_trains_close_to_float32(call_tool, pretrained):
    work_dir, _ = call_tool(
        'train',
        PRETRAIN,
        '--amp',
        options=(*TINY_PRETRAIN, 'train_cfg.max_epochs=2',
                 'param_scheduler.warmup=1'))
    exact = training_log(pretrained.parent)
    rounded = training_log(work_dir)
    assert list(rounded) == list(exact)
    for i, record in rounded.items():
        assert record['loss'] == pytest.approx(exact[i]['loss'], abs=.01)
        assert record['loss'] != exact[i]['loss']  # it was autocast


def test_a_setting_without_its_sign(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=cli.OptionsAction)
    found = parser.parse_args(['--cfg-options', 'a.b=1', 'c=[1,x=2]'])
    assert found.cfg_options == {'a.b': 1, 'c': [1, 'x=2']}
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'train_cfg.max_epochs', '1'])
    assert ("--cfg-options: 'train_cfg.max_epochs' is no key=value: write "
            'train_cfg.max_epochs=...') in capsys.readouterr().err


@pytest.mark.parametrize('option', [
    'load_from',
    'find_unused_parameters',
    'custom_hooks.0.start_decay',
    'train_dataloader.dataset.pipeline.1.clip_len',
    'model.backbone.drop_path_rate',
    'val_dataloader.batch_size',
])
def test_settings_that_exist_or_that_a_part_may_have(option):
    cli.check_option_names(Config.fromfile(ROOT / PRETRAIN), {option: 1})


class TestErrors:
    """Exit status 1 and one message: what is wrong, and the way out."""

    @staticmethod
    def check(stderr, *parts):
        assert stderr.count('error: ') == 1
        message = ' '.join(stderr.split('error: ')[1].split())
        assert 'Traceback' not in stderr
        for part in parts:
            assert part in message, message

    def test_missing_data(self, run_tool, tmp_path):
        done = run_tool(
            'tools/train.py',
            PRETRAIN,
            '--work-dir',
            tmp_path,
            '--cfg-options',
            'train_dataloader.num_workers=0',
            'train_dataloader.persistent_workers=False',
            code=1,
            SKEL_DATA=str(tmp_path / 'nowhere'))
        self.check(done.stderr, str(tmp_path / 'nowhere' / 'demo_3d.pkl'),
                   'data/README.md says where')

    def test_no_weights(self, run_tool):
        done = run_tool('tools/test.py', KNN, code=1)
        self.check(done.stderr, 'a checkpoint, --pretrained CKPT, --untrained',
                   'got none')

    @pytest.mark.parametrize('tool, args, options, parts', [
        ('test', (KNN, '--untrained', '--pretrained', 'a.pth'), (),
         ('say which weights', 'got pretrained and untrained')),
        ('test', (PRETRAIN, 'a.pth'), (),
         ('has no test_dataloader', 'configs/benchmarks')),
        ('test', (LINEAR, 'no.pth'), (), ('there is no checkpoint no.pth', )),
        ('test', (KNN, '--untrained', '--dump', 'a.csv'), (),
         ('--dump a.csv', '.pkl')),
        ('train', (LINEAR, '--pretrained', 'no.pth'), (),
         ("there is no checkpoint file 'no.pth'", )),
        ('train', (LINEAR, '--pretrained-prefix', STUDENT), (),
         ('--pretrained-prefix goes with --pretrained', )),
        ('train', (PRETRAIN, '--amp-dtype', 'float16'), (),
         ('--amp-dtype float16 needs an accelerator',
          'use --amp-dtype bfloat16')),
        ('train', (PRETRAIN, ), ('model.bakbone.depth=1', ),
         ('no setting model.bakbone', 'did you mean backbone')),
        ('train', (PRETRAIN, ), ('train_cgf=1', ),
         ('no setting train_cgf', 'did you mean train_cfg')),
        ('train', (PRETRAIN, ), ('custom_hooks.2.start_decay=1', ),
         ('custom_hooks is a list of 2', "'2' is not a place")),
        ('train', (PRETRAIN, ), ('model.backbone.dept=1', ),
         ('SkeletonTransformer', "'dept'")),
        ('train', (PRETRAIN, ), ('model.backbone.type=SkeletonTransformr', ),
         ('SkeletonTransformr is not in', )),
    ])
    def test_arguments(self, tool, args, options, parts, call_tool,
                       monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        _, stderr = call_tool(tool, *args, options=options, code=1)
        self.check(stderr, *parts)

    def test_a_pretraining_is_no_classifier(self, pretrained, call_tool):
        """MMEngine would draw a classifier and give it a figure."""
        _, stderr = call_tool('test', LINEAR, pretrained, code=1)
        self.check(stderr, str(pretrained), 'Missing key(s)',
                   'It has no classifier', f'--pretrained {pretrained}',
                   'tools/extract_features.py')

    def test_a_run_of_another_model_is_not_resumed(self, pretrained,
                                                   call_tool):
        """MMEngine would go on with fresh weights."""
        _, stderr = call_tool(
            'train', LINEAR, '--resume', pretrained, code=1,
            options=TINY_PROBE)
        self.check(stderr, str(pretrained), 'Missing key(s)',
                   'not a checkpoint of this whole RecognizerGCN')

    @pytest.mark.parametrize('change, fault', [
        ('depth=1', 'Unexpected key(s) in state_dict: "blocks.1.'),
        ('depth=3', 'Missing key(s) in state_dict: "blocks.2.'),
        ('embed_dims=32', 'size mismatch for pos_embed.spatial'),
        ('num_joints=20', 'size mismatch for pos_embed.spatial'),
    ])
    def test_a_checkpoint_of_another_encoder(self, change, fault, pretrained,
                                             call_tool):
        _, stderr = call_tool(
            'test',
            KNN,
            '--pretrained',
            pretrained,
            options=(*TINY_KNN, f'model.backbone.{change}'),
            code=1)
        self.check(stderr, str(pretrained), f'under {TEACHER!r}',
                   'is not a checkpoint of this SkeletonTransformer', fault,
                   'same method, data set and size', '--pretrained-prefix')

    def test_a_prefix_that_the_checkpoint_does_not_have(
            self, pretrained, call_tool):
        _, stderr = call_tool(
            'test',
            KNN,
            '--pretrained',
            pretrained,
            '--pretrained-prefix',
            'encoder.',
            options=TINY_KNN,
            code=1)
        self.check(stderr, "under 'encoder.'", 'Missing key(s)')
