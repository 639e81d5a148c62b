# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# Three protocols, and transfers between the data sets: many hours on a CPU.
_base_ = 'small.py'
title = 'NW-UCLA and UTD-MHAD'

datasets = dict(
    nwucla_xview1=dict(
        title='NW-UCLA, view 1',
        tests=dict(xview1_clean='xview1_clean_val'),
        options=_base_.datasets.nwucla.options),
    utdmhad=dict(
        title='UTD-MHAD',
        tests=dict(xsub='xsub_val'),
        options=_base_.datasets.nwucla.options))
transfers = dict(nwucla=('utdmhad', ), utdmhad=('nwucla', ))

methods = dict(
    # Its number of epochs is for NW-UCLA.
    scratch_long=dict(only=('nwucla', 'nwucla_xview1')),
    # There is no config of SkeletonMAE for view 1.
    skeletonmae=dict(only=('nwucla', 'utdmhad')),
    scratch_strl=dict(only=('nwucla', 'utdmhad')))
