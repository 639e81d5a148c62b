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

subjects = [f's{i:02}' for i in range(1, 11)]
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
        title=f'without {held_out[0]} to {held_out[-1]}',
        configs='nwucla',
        tests=dict(held_out='xview_clean_train'),
        options=dict(pretrain=fit, frozen=held, finetune=held))
del number, held_out, kept, fit, held, folds, subjects

frozen = 'configs/benchmarks/linear/mamp_{data}.py'
quick = {
    'model.neck.type': 'CrossAttentionDecoder',
    'model.query_ratio': 0.25
}
methods = dict(
    raw=dict(
        title='raw coordinates', kind='floor', encoder='raw', frozen=frozen),
    random=dict(
        title='random encoder', kind='floor', encoder='random', frozen=frozen))
for name, changed in dict(
        lr2e3={'optim_wrapper.optimizer.lr': 2e-3},
        lr5e4={'optim_wrapper.optimizer.lr': 5e-4},
        lr2e4={'optim_wrapper.optimizer.lr': 2e-4}).items():
    methods[f'mamp_{name}'] = dict(
        title=f'MAMP, {name}',
        pretrain='configs/mamp_{data}.py',
        frozen=frozen,
        options=dict(pretrain={**quick, **changed}))
del name, changed, frozen, quick
