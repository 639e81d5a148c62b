# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
# MMAction2's ST-GCN++ in a size for small data sets: 6 of its 10 blocks and
# half of its channels.
# The bones of our layout 'kinect20', which MMAction2 does not know.
kinect20 = dict(
    num_node=20,
    center=2,
    inward=[(0, 1), (1, 2), (3, 2), (4, 2), (5, 4), (6, 5), (7, 6), (8, 2),
            (9, 8), (10, 9), (11, 10), (12, 0), (13, 12), (14, 13), (15, 14),
            (16, 0), (17, 16), (18, 17), (19, 18)])
model = dict(
    type='RecognizerGCN',
    data_preprocessor=dict(type='ActionDataPreprocessor'),
    backbone=dict(
        type='STGCN',
        gcn_adaptive='init',
        gcn_with_res=True,
        tcn_type='mstcn',
        graph_cfg=dict(layout=kinect20, mode='spatial'),
        base_channels=32,
        num_stages=6,
        inflate_stages=[3, 5],
        down_stages=[3, 5]),
    cls_head=dict(type='GCNHead', num_classes=10, in_channels=128))
