# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Links, anchors, paths in sentences, and the model index."""
import re

import pytest
import yaml

from tests.docs.markdown import (
    DOCUMENTS,
    ROOT,
    anchors,
    fenced,
    inline,
    links,
    read,
)

# Where a path in a sentence may start: as the reader thinks of it.
STARTS = ('', 'configs', 'configs/benchmarks', 'skel_ssl', 'skel_ssl/models')
_PATH = re.compile(r'^[\w./*{}-]+/[\w./*{}-]+\.(?:py|md|yml|sh)$')


def test_all_documents_are_read():
    assert {'README.md', 'data/README.md', 'docs/own_skeletons.md',
            'docs/add_a_method.md', 'docs/results.md',
            'configs/benchmarks/README.md'} <= set(DOCUMENTS)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    here = ROOT / document
    for link in links(read(document)):
        if re.match(r'\w+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (here.parent / path).resolve() if path else here
        assert target.exists(), link
        assert ROOT in target.parents, f'{link} leaves the repository'
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize('document', DOCUMENTS)
def test_paths_in_sentences_exist(document):
    text = read(document)
    own = {block.file for block in fenced(text)}
    for path in filter(_PATH.match, inline(text)):
        starts = [ROOT / start for start in STARTS]
        starts.append((ROOT / document).parent)
        assert path in own or any(
            next(start.glob(path), None) for start in starts), path


def test_pictures_are_small():
    pictures = [path for document in DOCUMENTS for path in links(
        read(document)) if path.endswith(('.png', '.gif'))]
    assert pictures
    for path in pictures:
        size = (ROOT / path).stat().st_size
        assert size < (200_000 if path.endswith('.png') else 600_000), path


@pytest.fixture(scope='module')
def metafiles():
    index = yaml.safe_load(read('model-index.yml'))
    assert list(index) == ['Import']
    written = sorted(
        str(p.relative_to(ROOT)) for p in ROOT.glob('configs/*/metafile.yml'))
    assert sorted(index['Import']) == written
    return {name: yaml.safe_load(read(name)) for name in written}


def test_collections_have_a_page(metafiles):
    for name, content in metafiles.items():
        [collection] = content['Collections']
        assert collection['README'] == name.replace('metafile.yml',
                                                    'README.md')
        assert (ROOT / collection['README']).is_file()
        title = collection['Paper']['Title'].split(':')[0]
        page = ' '.join(read(collection['README']).replace('>', '').split())
        assert title in page
        assert {model['In Collection']
                for model in content['Models']} == {collection['Name']}


def test_models_have_configs_and_known_names(metafiles):
    models = [m for content in metafiles.values() for m in content['Models']]
    names = [model['Name'] for model in models]
    assert len(set(names)) == len(names)
    downstream = []
    for model in models:
        assert (ROOT / model['Config']).is_file(), model['Config']
        assert model['Name'].startswith(model['Config'].rpartition('/')[2][:-3]
                                        ), model['Name']
        downstream += model.get('Downstream', [])
    assert set(downstream) <= set(names)
    # What is not pre-trained is what some pre-training leads to, once.
    benchmarks = [m['Name'] for m in models if 'benchmarks' in m['Config']]
    assert sorted(downstream) == sorted(benchmarks)
