# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Does it matter that the public codes of Skeleton2vec and HA-CM put latents at
# wrong places? All four with the self-attention decoder of the papers, which
# the placement is about.
_base_ = 'small.py'
protocols = ('linear', 'knn', 'few')
title = 'Published and repaired placement of latents, NW-UCLA'

unchanged = dict(skel2vec={}, hacm={})
published = dict(
    skel2vec={
        'model.neck.unshuffle': 'reference',
        # The mask is the last but one; it has to give its ranking.
        'train_dataloader.dataset.pipeline.8.return_rank': True
    },
    hacm={
        'model.mask_generator.legacy_order': True,
        'model.neck.unshuffle': 'rank'
    })
methods = dict(_delete_=True)
for name, known_as in dict(skel2vec='Skeleton2vec', hacm='HA-CM').items():
    for state, settings in dict(
            repaired=unchanged, published=published).items():
        methods[f'{name}_{state}'] = dict(
            title=f'{known_as}, {state}',
            pretrain=f'configs/{name}_{{data}}.py',
            frozen=f'configs/benchmarks/linear/{name}_{{data}}.py',
            options=dict(
                pretrain={
                    'model.neck.type': 'TransformerDecoder',
                    'model.query_ratio': 1.0,
                    **settings[name]
                }))
del unchanged, published, name, known_as, state, settings
