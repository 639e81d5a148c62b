# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# A few minutes on a laptop, to see how a suite works: the figures of such
# short trainings on the synthetic sample say nothing about the methods.
title = 'The synthetic sample, a first look'
seeds = (0, 1, 2)
# Arguments of tools/train.py.
train_options = ('--person-batches', 'device')
protocols = ('linear', 'knn', 'few')
readouts = ('mean', 'joint')
probe = dict(seeds=1, epochs=30, subsets=2, ks=(1, ))

datasets = dict(
    demo=dict(title='synthetic sample', tests=dict(xsub='xsub_val')))
methods = dict(
    raw=dict(
        title='raw coordinates',
        kind='floor',
        encoder='raw',
        frozen='configs/benchmarks/linear/mamp_{data}.py'),
    random=dict(
        title='random encoder',
        kind='floor',
        encoder='random',
        frozen='configs/benchmarks/linear/mamp_{data}.py'),
    mae=dict(
        title='MAE',
        pretrain='configs/mae_{data}.py',
        frozen='configs/benchmarks/linear/mamp_{data}.py',
        options=dict(
            pretrain={
                'train_cfg.max_epochs': 10,
                'param_scheduler.total': 10
            })),
    stgcnpp=dict(
        title='ST-GCN++',
        kind='ceiling',
        finetune='configs/benchmarks/supervised/stgcnpp_{data}.py'))
