# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Annotation pickles, plain pickles and dumps of predictions."""
import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from skel_ssl.apis.inputs import ClipReader, InputError
from skel_ssl.datasets.pickle_io import load_annotations, load_dump, load_plain
from skel_ssl.evaluation.predictions import load_predictions

from . import evil
from .common import ARRAYS, JUNK, cuts, damaged, examples, outcome, write

READERS = [load_annotations, load_plain, load_dump]
CLIP = dict(frame_dir='a', label=0, total_frames=2,
            keypoint=np.arange(12, dtype='f4').reshape(1, 2, 2, 3))
DATA = dict(split=dict(train=['a']), annotations=[CLIP],
            more=[np.float32(1), np.array(['a', None], object), b'x', (1, )])
DUMP = [dict(pred_score=torch.tensor([.1, .9]), gt_label=torch.tensor([1]),
             frame_dir='a')]
WHOLE = {protocol: pickle.dumps(DATA, protocol) for protocol in range(6)}


def check(path, read):
    """What the file holds, or None; nothing was run, nothing else raised."""
    marker = path.with_name('marker')
    found = outcome(lambda: read(path) or 'nothing', naming=path.name)
    assert not marker.exists()
    return found


@examples(150)
@given(st.sampled_from(sorted(WHOLE)).flatmap(
    lambda protocol: damaged(WHOLE[protocol])))
def test_damage(tmp_path, content):
    path = write(tmp_path / 'x.pkl', content)
    for read in READERS:
        check(path, read)


@examples(60)
@given(damaged(pickle.dumps(DUMP)))
def test_damaged_dumps(tmp_path, content):
    path = write(tmp_path / 'x.pkl', content)
    found = check(path, load_predictions)
    if found is not None:
        assert np.isfinite(found.scores).all()
        assert (found.labels < found.num_classes).all()


@pytest.mark.parametrize('protocol', sorted(WHOLE))
def test_cut_off(tmp_path, protocol):
    for content in cuts(WHOLE[protocol], 40):
        path = write(tmp_path / 'x.pkl', content)
        with pytest.raises(ValueError, match='x.pkl'):
            load_annotations(path)


OPCODES = st.lists(st.one_of(
    st.sampled_from([bytes([code]) for code in range(128)] + [
        b'cnumpy\ndtype\n', b'cnumpy\nndarray\n', b'cbuiltins\nlist\n',
        b'cbuiltins\ntuple\n', b'cbuiltins\nint\n', b'cbuiltins\nstr\n',
        b'ccollections\ndefaultdict\n', b'ccollections\nOrderedDict\n',
        b'cnumpy.core.multiarray\n_reconstruct\n',
        b'cnumpy._core.multiarray\nscalar\n',
        b'cnumpy._core.numeric\n_frombuffer\n', b'c_codecs\nencode\n',
        b'K\x05', b'K\x00', b'C\x08AAAAAAAA', b'C\x01b', b')', b'}', b']',
        b'\x85', b'\x86', b'\x87', b'R', b'R', b'b', b'(', b't', b'0', b'2',
        b'\x94', b'h\x00', b'h\x01', b'a', b's', b'e', b'u', b'\x81',
        evil.string('O'), evil.string('f8'), evil.string('latin1')]),
    st.binary(max_size=3)), max_size=30).map(b''.join)


@examples(150)
@given(OPCODES)
@example(b'\x80\x02' + b'(' * 50000 + b't' * 50000)
@example(b']' * 100000 + b'a' * 99999)
@example(b'I' + b'9' * 5000 + b'\n')
def test_any_opcodes(tmp_path, body):
    path = write(tmp_path / 'x.pkl', evil.framed(body))
    check(path, load_plain)
    check(path, load_dump)


@examples(60)
@given(st.lists(JUNK, max_size=3), st.integers(0, 5))
def test_plain_data_comes_back(tmp_path, items, protocol):
    data = dict(DATA, more=items, again=[items, (items, {'a': items})])
    path = write(tmp_path / 'x.pkl', pickle.dumps(data, protocol))
    found = load_annotations(path)
    np.testing.assert_equal(found, data)
    assert found['again'][0] is found['more']
    # pickle itself brings some arrays of the other byte order into our own
    for item, wanted in zip(found['more'],
                            pickle.loads(path.read_bytes())['more']):
        assert type(item) is type(wanted)
        if isinstance(wanted, np.ndarray):
            assert item.dtype == wanted.dtype


@examples(40)
@given(ARRAYS, st.booleans(), st.integers(0, 5))
@example(np.array([np.arange(2), [np.ones(1)], None], object), False, 4)
def test_arrays_in_every_place(tmp_path, array, fortran, protocol):
    array = np.asfortranarray(array) if fortran else array
    cycle = [array]
    cycle.append(cycle)
    data = dict(a=(array, [array]), b=OrderedDict(c=array), d=cycle)
    path = write(tmp_path / 'x.pkl', pickle.dumps(data, protocol))
    found = load_plain(path)
    wanted = pickle.loads(path.read_bytes())['a'][0]
    for place in (found['a'][0], found['a'][1][0], found['b']['c'],
                  found['d'][0]):
        assert type(place) is np.ndarray and place.dtype == wanted.dtype
        assert repr(place) == repr(wanted)
    assert found['d'][1] is found['d'] and found['a'][0] is found['b']['c']


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_callables_are_refused(tmp_path, protocol):
    marker = tmp_path / 'marker'
    for name, call in evil.calls(marker).items():
        files = {
            load_annotations: dict(DATA, more=call), load_plain: [call],
            load_dump: [dict(pred_score=call)]}
        for read, content in files.items():
            try:
                content = pickle.dumps(content, protocol)
            except TypeError:  # what cannot be pickled harms nobody
                continue
            path = write(tmp_path / 'x.pkl', content)
            with pytest.raises(ValueError, match='x.pkl.*asks for') as error:
                read(path)
            assert 'SKEL_SSL_TRUST_DATA=1' in str(error.value), name
            assert not marker.exists(), name


@pytest.mark.parametrize('name', [name for name, _ in evil.opcodes('x')])
def test_opcodes_are_refused(tmp_path, name):
    marker = tmp_path / 'marker'
    body = dict(evil.opcodes(marker))[name]
    for read, wrap in ((load_annotations, evil.in_annotations),
                       (load_plain, evil.framed), (load_dump, evil.in_dump)):
        path = write(tmp_path / 'x.pkl', wrap(body))
        with pytest.raises(ValueError, match='x.pkl'):
            read(path)
        assert not marker.exists()


@pytest.mark.parametrize('size', [64, 1 << 24])
def test_an_array_stays_as_long_as_its_content(tmp_path, size):
    body = evil.in_annotations(evil.stretched_array(size))
    array, _ = load_annotations(write(tmp_path / 'x.pkl', body))['more']
    assert array.tobytes() == b'A' * 8


@pytest.mark.parametrize('name', [name for name, _ in evil.false_arrays()])
def test_false_arrays_are_refused(tmp_path, name):
    """They read, or wrote, memory that was not theirs."""
    body = dict(evil.false_arrays())[name]
    for read, wrap in ((load_annotations, evil.in_annotations),
                       (load_plain, evil.framed), (load_dump, evil.in_dump)):
        path = write(tmp_path / 'x.pkl', wrap(body))
        with pytest.raises(ValueError, match='x.pkl'):
            read(path)


def test_with_the_users_word(tmp_path, monkeypatch):
    monkeypatch.setenv('SKEL_SSL_TRUST_DATA', '1')
    for read, wrap in ((load_annotations, evil.in_annotations),
                       (load_plain, evil.framed), (load_dump, evil.in_dump)):
        marker = tmp_path / f'marker {read.__name__}'
        body = pickle.dumps(evil.Calls(open, str(marker), 'w'), 2)[2:-1]
        read(write(tmp_path / 'x.pkl', wrap(body)))
        assert marker.exists()


def test_inputs_of_infer(tmp_path):
    marker = tmp_path / 'marker'
    bodies = [*evil.opcodes(marker), *evil.false_arrays()]
    for i, (name, body) in enumerate(bodies):
        path = write(tmp_path / f'{i}.pkl', evil.framed(body))
        with pytest.raises(InputError, match=f'{i}.pkl'):
            list(ClipReader().read(path))
        assert not marker.exists(), name


def numbers_of(tensor, size, stride, offset=0):
    """A dump whose tensor has these numbers and says that it has others."""
    buffer = io.BytesIO()
    torch.save(tensor.storage(), buffer, _use_new_zipfile_serialization=False)

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (
                evil.Calls(torch.storage._load_from_bytes, buffer.getvalue()),
                offset, size, stride, False, OrderedDict())

    return pickle.dumps([dict(pred_score=Tensor(), gt_label=0)])


@pytest.mark.parametrize('size, stride, offset', [
    ((10**12, ), (1, ), 0), ((10**12, ), (0, ), 0), ((3, ), (1, ), 10**12),
    ((3, ), (1, ), -1), ((3, ), (-1, ), 2), ((3, ), (2, ), 0),
    ((3, 1), (1, ), 0)])
@pytest.mark.filterwarnings('ignore:TypedStorage')
def test_tensors_have_the_numbers_that_they_say(tmp_path, size, stride,
                                                offset):
    path = write(tmp_path / 'x.pkl', numbers_of(torch.rand(3), (3, ), (1, )))
    assert load_dump(path)[0]['pred_score'].shape == (3, )
    write(path, numbers_of(torch.rand(3), size, stride, offset))
    with pytest.raises(ValueError, match='x.pkl'):
        load_dump(path)
