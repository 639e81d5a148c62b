# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The page of a run that the tools made."""
import json

from tests.report.pages import check

REPORT = 'tools/analysis/report.py'


def test_a_pretraining_with_its_data(run_tool, pretrained, tmp_path):
    out = tmp_path / 'new/page.html'
    work_dir = pretrained.parent
    done = run_tool(REPORT, work_dir, '--out', out)
    made, left_out = ' '.join(done.stdout.split()).split('left out: ')
    for title in ('Config', 'Learning curves', 'Masks', 'Embedding',
                  'Weights', 'Environment'):
        assert title in made
    assert 'Evaluation, Confusions' in left_out
    assert f'wrote {out}' in done.stdout and 'MiB' in done.stdout
    page = check(out.read_text(encoding='utf-8'))
    kinds = [img['src'].split(';')[0] for img in page.of('img')]
    assert kinds == ['data:image/gif'] * 2 + ['data:image/png']
    assert 'trainedepoch 2 of 2' in page.text
    assert 't-SNE of 16 train clips' in page.text
    assert "weights under 'target.teacher.module.'" in page.text
    assert 'configs/benchmarks/linear/skel2vec_demo.py' in page.text
    log = next(work_dir.glob('*/vis_data/scalars.json'))
    records = [json.loads(x) for x in log.read_text().splitlines()]
    losses = [record['loss'] for record in records if 'loss' in record]
    # The collapse monitor has a loss of its own further down.
    row = next(row for row in page.rows if row[0] == 'loss')
    assert row[1:3] == [f'{losses[0]:.4g}', f'{losses[-1]:.4g}']
    assert f'{len(records)} records' in page.text
    assert out.stat().st_size < 5 * 2**20


def test_a_broken_log_is_a_readable_error(run_tool, tmp_path):
    log = tmp_path / '1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    done = run_tool(REPORT, tmp_path, code=1)
    assert 'scalars.json, line 2 is not JSON' in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'report.html').exists()
