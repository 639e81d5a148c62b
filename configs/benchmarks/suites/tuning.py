# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Settings for NW-UCLA, compared on subjects of the training set (views 1 and
# 2) that neither the encoder nor the probe has seen. The test set is not
# read. docs/benchmark.md says what was tried.
title = 'NW-UCLA, subjects of the training set held out'
seeds = (0, )
train_options = ('--person-batches', 'device')
protocols = ('linear', 'knn')
readouts = ('mean', 'joint', 'joint_std')
probe = dict(seeds=1, ks=(1, ), views=4)

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

# All with the cheap decoder: a fifth of the time, and no worse on NW-UCLA.
quick = {
    'model.neck.type': 'CrossAttentionDecoder',
    'model.query_ratio': 0.25
}
lr = 'optim_wrapper.optimizer.lr'
ratio = 'train_dataloader.dataset.pipeline.8.mask_ratio'
for name, changed in dict(
        mae={lr: 2e-3},
        mae_lr5e4={lr: 5e-4},
        mae_lr5e4_mask7={lr: 5e-4, ratio: 0.7},
        mae_lr5e4_mask5={lr: 5e-4, ratio: 0.5},
        mamp={lr: 2e-3},
        mamp_lr5e4={lr: 5e-4},
        mamp_lr2e4={lr: 2e-4},
        mamp_lr5e4_mask7={lr: 5e-4, ratio: 0.7},
        hacm_lr5e4={lr: 5e-4},
        hacm_lr2e4={lr: 2e-4}).items():
    method = name.split('_')[0]
    encoder = 'hacm' if method == 'hacm' else 'mamp'
    methods[name] = dict(
        title=name.replace('_', ' '),
        pretrain=f'configs/{method}_{{data}}.py',
        frozen=frozen.format(encoder),
        options=dict(pretrain={**quick, **changed}))
del name, changed, method, encoder, frozen, quick, lr, ratio
