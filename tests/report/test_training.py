# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Curves and the collapse monitor, with the numbers that were logged."""
from skel_ssl.report import find_run
from skel_ssl.report.training import collapse_section, curves_section
from tests.report.pages import check, training, write_log

HEALTHY = dict(rank=5., rank_centred=7., cosine=.5, spread=.6, top_share=.4,
               max_rank=64)


def monitored(step, **student):
    figures = {**HEALTHY, **student}
    return {'step': step, 'monitor/loss_ratio': .25,
            **{f'monitor/student_{k}': v for k, v in figures.items()}}


def test_curves_of_a_resumed_run(tmp_path):
    write_log(tmp_path, '1', training(range(1, 5), loss=2., loss_cls=2.))
    write_log(tmp_path, '2', [
        *training(range(3, 6), loss=.5, loss_cls=.5),
        {'step': 1, 'acc/top1': .625}])
    section = curves_section(find_run(tmp_path))
    page = check(section.html())
    assert section.found
    # 2, 4 of the first start, then 1.5, 2, 2.5 of the second.
    [loss] = [row for row in page.rows if row[0] == 'loss']
    assert loss == ['loss', '2', '2.5', '1.5 (iteration 3)',
                    '4 (iteration 2)']
    [top1] = [row for row in page.rows if row[0] == 'top-1 accuracy']
    assert top1[3] == '0.625 (epoch 1)'
    # Not the same curve again, and none of a single point.
    assert len(page.of('svg')) == 1
    assert 'loss over iterations: 2 at 1, 2.5 at 5' in page.text
    assert '1/vis_data/scalars.json, 4 records' in page.text
    assert '2/vis_data/scalars.json, 4 records' in page.text


def test_a_loss_that_is_not_finite(tmp_path):
    log = write_log(tmp_path, '1', training(range(1, 4), loss=1.))
    log.write_text(log.read_text().replace('2.0', 'NaN') + '{"st')
    page = check(curves_section(find_run(tmp_path)).html())
    assert 'loss is not finite in 1 of 3 records, first at 2.' in page.text
    assert 'not written to its end' in page.text


def test_no_log(tmp_path):
    (tmp_path / 'a.py').touch()
    run = find_run(tmp_path)
    section = curves_section(run)
    assert not section.found
    assert f'tools/train.py CONFIG --work-dir {tmp_path}' in section.body
    section = collapse_section(run)
    assert not section.found and 'CollapseMonitorHook' in section.body


def test_a_healthy_run(tmp_path):
    write_log(tmp_path, '1', [
        monitored(0, rank_centred=9.), *training(range(1, 3), loss=1.),
        monitored(2)])
    run = find_run(tmp_path)
    section = collapse_section(run, dict(
        collapse_monitor=dict(probe=[2, 3, 0], rank={}, low=3, stuck=1)))
    page = check(section.html())
    assert 'iteration 2, the last of 2 checks, the features are neither' in (
        page.text)
    assert '3 checks in a row with a low rank, 1 with' in page.text
    assert 'The loss is 0.25 of what' in page.text
    assert ['student_rank_centred', '9', '7', '7 (iteration 2)',
            '9 (iteration 0)'] in page.rows
    assert not [x for x in page.of('p') if x.get('class') == 'warning']
    # The monitor has a section of its own.
    assert 'monitor/' not in curves_section(run).body


def test_a_collapse_is_shown_with_its_warning(tmp_path):
    message = 'pre-training has collapsed at iteration 4: <constant>.'
    write_log(
        tmp_path, '1', [monitored(0), monitored(4, spread=.001)],
        'first\n2026/11/21 12:00:43 - mmengine - WARNING - ' + message + '\n')
    page = check(collapse_section(find_run(tmp_path)).html())
    assert 'student: the features are constant: they vary by 0.001' in (
        page.text)
    assert message in page.text and '1.log, line 2' in page.text
