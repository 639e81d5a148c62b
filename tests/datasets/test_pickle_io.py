# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
import base64
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

from skel_ssl.datasets import load_annotations

DATA = Path(__file__).resolve().parents[2] / '..' / 'shared' / 'data'

# one clip, label np.int64(7), keypoint float16 (1, 1, 2, 3) = 0..5
FROM_OTHER_NUMPY = {
    'numpy 1.23.5, protocol 4':
    'gASVGwEAAAAAAAB9KIwFc3BsaXR9jAV0cmFpbl2MAWGUYXOMC2Fubm90YXRpb25zXX0o'
    'jAlmcmFtZV9kaXJoAIwFbGFiZWyMFW51bXB5LmNvcmUubXVsdGlhcnJheZSMBnNjYWxh'
    'cpOMBW51bXB5lIwFZHR5cGWTlIwCaTiJiIdSKEsDjAE8lE5OTkr/////Sv////9LAHRi'
    'QwgHAAAAAAAAAIZSjAx0b3RhbF9mcmFtZXNLAYwIa2V5cG9pbnRoAYwMX3JlY29uc3Ry'
    'dWN0k2gCjAduZGFycmF5k0sAhUMBYodSKEsBKEsBSwFLAksDdGgDjAJmMomIh1IoSwNo'
    'BE5OTkr/////Sv////9LAHRiiUMMAAAAPABAAEIARABFdGJ1YXUu',
    'numpy 1.23.5, protocol 5':
    'gAWVHQEAAAAAAAB9KIwFc3BsaXR9jAV0cmFpbl2MAWGUYXOMC2Fubm90YXRpb25zXX0o'
    'jAlmcmFtZV9kaXJoAIwFbGFiZWyMFW51bXB5LmNvcmUubXVsdGlhcnJheYwGc2NhbGFy'
    'k4wFbnVtcHmMBWR0eXBlk5SMAmk4iYiHUihLA4wBPJROTk5K/////0r/////SwB0YkMI'
    'BwAAAAAAAACGUowMdG90YWxfZnJhbWVzSwGMCGtleXBvaW50jBJudW1weS5jb3JlLm51'
    'bWVyaWOMC19mcm9tYnVmZmVykyiWDAAAAAAAAAAAAAA8AEAAQgBEAEVoAYwCZjKJiIdS'
    'KEsDaAJOTk5K/////0r/////SwB0YihLAUsBSwJLA3SMAUN0UnVhdS4=',
    'numpy 2.4.6, protocol 4':
    'gASVHAEAAAAAAAB9KIwFc3BsaXR9jAV0cmFpbl2MAWGUYXOMC2Fubm90YXRpb25zXX0o'
    'jAlmcmFtZV9kaXJoAIwFbGFiZWyMFm51bXB5Ll9jb3JlLm11bHRpYXJyYXmUjAZzY2Fs'
    'YXKTjAVudW1weZSMBWR0eXBlk5SMAmk4iYiHUihLA4wBPJROTk5K/////0r/////SwB0'
    'YkMIBwAAAAAAAACGUowMdG90YWxfZnJhbWVzSwGMCGtleXBvaW50aAGMDF9yZWNvbnN0'
    'cnVjdJNoAowHbmRhcnJheZNLAIVDAWKHUihLAShLAUsBSwJLA3RoA4wCZjKJiIdSKEsD'
    'aAROTk5K/////0r/////SwB0YolDDAAAADwAQABCAEQARXRidWF1Lg==',
    'numpy 2.4.6, protocol 5':
    'gAWVHwEAAAAAAAB9KIwFc3BsaXR9jAV0cmFpbl2MAWGUYXOMC2Fubm90YXRpb25zXX0o'
    'jAlmcmFtZV9kaXJoAIwFbGFiZWyMFm51bXB5Ll9jb3JlLm11bHRpYXJyYXmMBnNjYWxh'
    'cpOMBW51bXB5jAVkdHlwZZOUjAJpOImIh1IoSwOMATyUTk5OSv////9K/////0sAdGJD'
    'CAcAAAAAAAAAhlKMDHRvdGFsX2ZyYW1lc0sBjAhrZXlwb2ludIwTbnVtcHkuX2NvcmUu'
    'bnVtZXJpY4wLX2Zyb21idWZmZXKTKJYMAAAAAAAAAAAAADwAQABCAEQARWgBjAJmMomI'
    'h1IoSwNoAk5OTkr/////Sv////9LAHRiKEsBSwFLAksDdIwBQ3RSdWF1Lg==',
}


def content(**extra):
    keypoint = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    clip = dict(frame_dir='a', label=1, total_frames=2, keypoint=keypoint)
    return dict(split=dict(train=['a']), annotations=[clip], **extra)


def write(path: Path, data, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder, )


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_kind(tmp_path, protocol):
    plain = dict(
        order=OrderedDict(a=1),
        groups=defaultdict(list, a=[1]),
        sets=({1}, frozenset({2})),
        scalars=(1, 2.5, 1j, True, None, 'é', b'\xff', bytearray(b'x')),
        numpy=(np.float32(1.5), np.str_('b'), np.bool_(True)),
        strided=np.arange(12.).reshape(3, 4)[:, ::2],
        fortran=np.asfortranarray(np.arange(12).reshape(3, 4)),
        names=np.array(['a', 'bc']),
        mixed=np.array(['a', None], dtype=object))
    path = write(tmp_path / 'x.pkl', content(plain=plain), protocol)
    loaded = load_annotations(path)
    np.testing.assert_array_equal(
        loaded['annotations'][0]['keypoint'].ravel(), np.arange(12))
    np.testing.assert_equal(loaded['plain'], plain)
    assert loaded['plain']['groups'].default_factory is list


@pytest.mark.parametrize('origin', FROM_OTHER_NUMPY)
def test_files_of_other_numpy_versions(tmp_path, origin):
    path = tmp_path / 'x.pkl'
    path.write_bytes(base64.b64decode(FROM_OTHER_NUMPY[origin]))
    clip, = load_annotations(path)['annotations']
    assert clip['label'] == 7 and clip['label'].dtype == np.int64
    assert clip['keypoint'].dtype == np.float16
    np.testing.assert_array_equal(
        clip['keypoint'], np.arange(6.).reshape(1, 1, 2, 3))


@pytest.mark.skipif(
    not DATA.exists(), reason='the skeleton data are not at ../shared')
@pytest.mark.parametrize('name', [
    'nwucla_3d', 'utdmhad_3d', 'sbu_3d', 'ntu_sample5_mmaction2_3d',
    'ntu_sample5_denoise_3d'
])
def test_recorded_data_as_plain_pickle_reads_them(name):
    path = DATA / f'{name}.pkl'
    np.testing.assert_equal(
        load_annotations(path), pickle.loads(path.read_bytes()))


def test_malicious_pickle_is_not_executed(tmp_path, monkeypatch):
    target = tmp_path / 'made by the pickle'
    path = write(tmp_path / 'x.pkl', content(more=Runs(target)))
    monkeypatch.delenv('SKEL_SSL_TRUST_DATA', raising=False)
    with pytest.raises(ValueError, match='asks for .*mkdir') as error:
        load_annotations(path)
    assert not target.exists()
    assert 'SKEL_SSL_TRUST_DATA=1' in str(error.value)
    assert str(path) in str(error.value)

    monkeypatch.setenv('SKEL_SSL_TRUST_DATA', '1')
    load_annotations(path)
    assert target.exists()


@pytest.mark.parametrize('code, name', [
    (b'cos\nsystem\n(S"true"\ntR.', 'os.system'),
    (b'cbuiltins\neval\n(S"1"\ntR.', 'builtins.eval'),
    (b'c__builtin__\ngetattr\n.', '__builtin__.getattr'),
    (b'\x80\x04\x8c\x05numpy\x8c\x04load\x93.', 'numpy.load'),
    (b'\x80\x04\x8c\x08builtins\x8c\x0ddict.__init__\x93.', 'dict.__init__'),
])
def test_the_refused_name_is_said(tmp_path, code, name):
    path = tmp_path / 'x.pkl'
    path.write_bytes(code)
    with pytest.raises(ValueError, match=f'asks for .*{name}'):
        load_annotations(path)


def test_foreign_object_is_named(tmp_path):
    path = write(tmp_path / 'x.pkl', content(root=Path('a')))
    with pytest.raises(ValueError, match=r'asks for pathlib.*Path'):
        load_annotations(path)


def test_trusted_file_that_needs_a_missing_package(tmp_path, monkeypatch):
    monkeypatch.setenv('SKEL_SSL_TRUST_DATA', '1')
    path = tmp_path / 'x.pkl'
    path.write_bytes(b'cno_such_package\nThing\n.')
    with pytest.raises(ModuleNotFoundError, match='no_such_package'):
        load_annotations(path)


def test_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load_annotations('data/ntu60_3danno.pkl')
    said = str(error.value)
    assert str(tmp_path / 'data' / 'ntu60_3danno.pkl') in said
    assert 'data/README.md' in said


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_cut_off_anywhere(tmp_path, protocol):
    whole = pickle.dumps(content(), protocol=protocol)
    path = tmp_path / 'x.pkl'
    for size in (*range(1, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=f'cut off .* its {size} bytes'):
            load_annotations(path)


@pytest.mark.parametrize('text, said', [
    (b'', r'empty \(0 bytes\)'),
    (b'<!DOCTYPE html><html>', 'not a pickle.*DOCTYPE'),
    (b'version https://git-lfs.github.com/spec/v1\n', 'not a pickle.*LFS'),
    (b'hello', 'not a pickle'),
    (b'(dp0\n', 'not a pickle'),
])
def test_not_a_pickle(tmp_path, text, said):
    path = tmp_path / 'x.pkl'
    path.write_bytes(text)
    with pytest.raises(ValueError, match=said):
        load_annotations(path)


@pytest.mark.parametrize('data, said', [
    ([dict(frame_dir='a')], "holds a list.*'split' and 'annotations'"),
    (dict(annotations=[]), r"no 'split', only \['annotations'\]"),
    (dict(split={}, data_list=[]), "no 'annotations'.*data/README.md"),
    (dict(split=['a'], annotations=[]), "'split' .* is a list"),
    (dict(split={}, annotations={}), "'annotations' .* is a dict"),
    (dict(split={}, annotations=[{}, 'a']), 'annotation 1 .* is a str'),
])
def test_another_structure(tmp_path, data, said):
    with pytest.raises(ValueError, match=said):
        load_annotations(write(tmp_path / 'x.pkl', data))
