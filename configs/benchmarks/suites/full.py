# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Three protocols, transfers between the data sets, and the variants with what
# the public codes of Skeleton2vec and HA-CM do: many hours on a CPU.
_base_ = 'small.py'
title = 'NW-UCLA and UTD-MHAD'

datasets = dict(
    nwucla_xview1=dict(
        title='NW-UCLA, view 1', tests=dict(xview1_clean='xview1_clean_val')),
    utdmhad=dict(title='UTD-MHAD', tests=dict(xsub='xsub_val')))
transfers = dict(nwucla=('utdmhad', ), utdmhad=('nwucla', ))

methods = dict(
    # There is no config of SkeletonMAE for view 1.
    skeletonmae=dict(only=('nwucla', 'utdmhad')),
    scratch_strl=dict(only=('nwucla', 'utdmhad')),
    skel2vec_published=dict(
        title='Skeleton2vec, published un-shuffle',
        pretrain='configs/skel2vec_{data}.py',
        frozen='configs/benchmarks/linear/skel2vec_{data}.py',
        options=dict(
            pretrain={
                'model.neck.unshuffle': 'reference',
                # The mask is the last but one; it has to give its ranking.
                'train_dataloader.dataset.pipeline.8.return_rank': True
            })),
    hacm_published=dict(
        title='HA-CM, published ordering',
        pretrain='configs/hacm_{data}.py',
        frozen='configs/benchmarks/linear/hacm_{data}.py',
        options=dict(
            pretrain={
                'model.mask_generator.legacy_order': True,
                'model.neck.unshuffle': 'rank'
            })))
