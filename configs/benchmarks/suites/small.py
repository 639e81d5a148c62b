# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# NW-UCLA: some hours on two CPU cores. docs/benchmark.md explains the keys.
title = 'NW-UCLA'
seeds = (0, 1, 2)
# Arguments of tools/train.py.
train_options = ('--person-batches', 'device')
protocols = ('linear', 'logistic', 'knn', 'few')
readouts = ('mean', 'joint', 'joint_std')
persons = 'valid'
# Of the probes: runs, neighbours, labels per class and draws of them,
# augmented copies of the training clips, epochs and rates of SGD.
probe = dict(
    seeds=1,
    ks=(1, ),
    shots=(10, ),
    subsets=5,
    views=8,
    epochs=300,
    learning_rates=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0))

# Ten crops of a clip: their features, or their scores, are averaged.
ten_crops = {
    f'{part}_dataloader.dataset.pipeline.1.{name}': value
    for part in ('val', 'test')
    for name, value in dict(num_clips=10, p_interval=(0.5, 1.0)).items()
}
middle = {
    f'val_dataloader.dataset.pipeline.1.{name}': value
    for name, value in dict(num_clips=1, p_interval=(0.95, )).items()
}
# Tests and the splits of their clips; training is on view 1 and 2 for both.
datasets = dict(
    nwucla=dict(
        title='NW-UCLA',
        tests=dict(xview_clean='xview_clean_val', xview='xview_val'),
        options=dict(frozen=ten_crops, finetune=ten_crops)))
del ten_crops

linear = 'configs/benchmarks/linear/'
finetune = 'configs/benchmarks/finetune/'
methods = dict(
    raw=dict(
        title='raw coordinates',
        kind='floor',
        encoder='raw',
        frozen=f'{linear}mamp_{{data}}.py'),
    # Ten crops blur what is compared frame by frame.
    raw_middle=dict(
        title='raw coordinates, the middle of the clip',
        kind='floor',
        encoder='raw',
        frozen=f'{linear}mamp_{{data}}.py',
        options=dict(frozen=middle)),
    random=dict(
        title='random encoder',
        kind='floor',
        encoder='random',
        frozen=f'{linear}mamp_{{data}}.py'),
    random_hacm=dict(
        title="random encoder, HA-CM's",
        kind='floor',
        encoder='random',
        frozen=f'{linear}hacm_{{data}}.py'),
    mae=dict(
        title='MAE',
        pretrain='configs/mae_{data}.py',
        frozen=f'{linear}mamp_{{data}}.py',
        finetune=f'{finetune}mamp_{{data}}.py'),
    mamp=dict(
        title='MAMP',
        pretrain='configs/mamp_{data}.py',
        frozen=f'{linear}mamp_{{data}}.py',
        finetune=f'{finetune}mamp_{{data}}.py'),
    skel2vec=dict(
        title='Skeleton2vec',
        pretrain='configs/skel2vec_{data}.py',
        frozen=f'{linear}skel2vec_{{data}}.py',
        finetune=f'{finetune}skel2vec_{{data}}.py'),
    hacm=dict(
        title='HA-CM',
        pretrain='configs/hacm_{data}.py',
        frozen=f'{linear}hacm_{{data}}.py',
        finetune=f'{finetune}hacm_{{data}}.py'),
    skeletonmae=dict(
        title='SkeletonMAE',
        pretrain='configs/skeletonmae_{data}.py',
        finetune=f'{finetune}skeletonmae_{{data}}.py'),
    # The fine-tuning of the same networks, all layers at the full rate.
    scratch=dict(
        title='the transformer from scratch',
        kind='ceiling',
        finetune=f'{finetune}mamp_{{data}}.py',
        options=dict(
            finetune={'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.})),
    # As many operations as the longest pre-training and its fine-tuning.
    scratch_long=dict(
        title='the transformer from scratch, 1.6 times as long',
        kind='ceiling',
        finetune=f'{finetune}mamp_{{data}}.py',
        options=dict(
            finetune={
                'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.,
                'train_cfg.max_epochs': 260,
                'param_scheduler.total': 260
            })),
    scratch_hacm=dict(
        title="HA-CM's encoder from scratch",
        kind='ceiling',
        finetune=f'{finetune}hacm_{{data}}.py',
        options=dict(
            finetune={'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.})),
    scratch_strl=dict(
        title='STRL (SkeletonMAE) from scratch',
        kind='ceiling',
        finetune=f'{finetune}skeletonmae_{{data}}_scratch.py'),
    stgcnpp=dict(
        title='ST-GCN++ of MMAction2',
        kind='ceiling',
        finetune='configs/benchmarks/supervised/stgcnpp_{data}.py'))
del linear, finetune, middle
