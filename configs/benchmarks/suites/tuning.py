# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Settings for NW-UCLA, compared on subjects of the training set (views 1 and
# 2) that neither the encoder nor the probe has seen. The test set is not
# read. docs/benchmark.md says what was tried.
title = 'NW-UCLA, subjects of the training set held out'
seeds = (0, )
train_options = ('--person-batches', 'device')
protocols = ('linear', 'knn')
readouts = ('mean', 'joint', 'joint_std')
probe = dict(
    seeds=1,
    ks=(1, ),
    views=8,
    epochs=300,
    learning_rates=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0))

subjects = list(range(1, 11))
folds = [subjects[:3], subjects[3:6], subjects[6:]]
datasets = {}
for number, held_out in enumerate(folds):
    kept = [name for name in subjects if name not in held_out]
    fit = {'train_dataloader.dataset.subjects': kept}
    held = {
        **fit, 'val_dataloader.dataset.subjects': held_out,
        'test_dataloader.dataset.subjects': held_out
    }
    datasets[f'fold{number}'] = dict(
        title=f'without subjects {held_out[0]} to {held_out[-1]}',
        configs='nwucla',
        tests=dict(held_out='xview_clean_train'),
        options=dict(pretrain=fit, frozen=held, finetune=held))
del number, held_out, kept, fit, held, folds, subjects

frozen = 'configs/benchmarks/linear/{}_{{data}}.py'
finetune = 'configs/benchmarks/finetune/{}_{{data}}.py'
methods = dict(
    raw=dict(
        title='raw coordinates',
        kind='floor',
        encoder='raw',
        frozen=frozen.format('mamp')),
    random=dict(
        title='random encoder',
        kind='floor',
        encoder='random',
        frozen=frozen.format('mamp')))

# The configs as they are, and with one setting changed.
rate = 'optim_wrapper.optimizer.lr'
mask = 'train_dataloader.dataset.pipeline.8.mask_ratio'
decoder = {
    'model.neck.type': 'TransformerDecoder',
    'model.query_ratio': 1.0
}
for name, changed in dict(
        mae={},
        mae_lr1e3={rate: 1e-3},
        mae_mask85={mask: 0.85},
        mamp={},
        mamp_lr2e3={rate: 2e-3},
        mamp_mask85={mask: 0.85},
        hacm={},
        hacm_lr2e4={rate: 2e-4},
        hacm_mask8={'model.mask_generator.mask_ratio': 0.8},
        skel2vec={},
        skel2vec_lr1e3={rate: 1e-3},
        skel2vec_mask5={mask: 0.5},
        skel2vec_mask85={mask: 0.85},
        skel2vec_self=decoder).items():
    method = name.split('_')[0]
    encoder = 'mamp' if method == 'mae' else method
    methods[name] = dict(
        title=name.replace('_', ' '),
        pretrain=f'configs/{method}_{{data}}.py',
        frozen=frozen.format(encoder),
        options=dict(pretrain=changed))
    if not changed:
        methods[name]['finetune'] = finetune.format(encoder)
# Fine-tuning from scratch, which needs no pre-training to compare rates.
for lr in (2e-4, 5e-4, 1e-3, 3e-3):
    methods[f'scratch_{lr:.0e}'.replace('-0', '')] = dict(
        title=f'from scratch, rate {lr:g}',
        kind='ceiling',
        finetune=finetune.format('mamp'),
        options=dict(finetune={
            rate: lr,
            'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.
        }))
del name, changed, method, encoder, frozen, finetune, decoder, rate, mask, lr
