# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""The two traditions of cleaning: real clips, and one step at a time."""
import numpy as np
import pytest

from skel_ssl.datasets import load_annotations
from skel_ssl.datasets.sources.errors import BadFileError
from skel_ssl.datasets.sources.ntu_clip import read_clip
from skel_ssl.datasets.sources.ntu_persons import (
    denoise_persons,
    select_persons,
)
from skel_ssl.datasets.sources.ntu_skeleton import parse_skeleton
from tests.conftest import shared_file
from tests.datasets.ntu_files import Track, standing, write_text


@pytest.mark.parametrize('cleaning', ['mmaction2', 'denoise'])
def test_real_clips_to_the_bit(cleaning):
    reference = load_annotations(
        shared_file(f'data/ntu_sample5_{cleaning}_3d.pkl'))
    folder = shared_file('data/raw/ntu')
    assert len(reference['annotations']) == 5
    for expected in reference['annotations']:
        clip = read_clip(folder / f"{expected['frame_dir']}.skeleton",
                         cleaning)
        keypoint = clip.pop('keypoint')
        assert keypoint.dtype == np.float32
        assert keypoint.tobytes() == expected['keypoint'].tobytes()
        assert clip == {
            key: value
            for key, value in expected.items() if key != 'keypoint'
        }


def person(seed, frames, sway=.05, wide=False):
    return standing(frames, np.random.default_rng(seed), sway, wide)


def select(num_frames, *tracks):
    return select_persons(parse_skeleton(write_text(num_frames, tracks)))


def denoise(num_frames, *tracks, **options):
    bodies = parse_skeleton(write_text(num_frames, tracks))
    return denoise_persons(bodies, **options)


def centred(*persons):
    """Persons (T, 25, 3) or None, as denoising writes them."""
    first = persons[0].astype(np.float32)
    origin = first[first.any((1, 2)).argmax(), 1]
    moved = [np.where(p.any((1, 2), keepdims=True),
                      p.astype(np.float32) - origin, 0) for p in persons]
    return np.stack(moved).astype(np.float32)


def on(num_frames, first, joints):
    """A track on the time line of its clip."""
    whole = np.zeros((num_frames, 25, 3))
    whole[first:first + len(joints)] = joints
    return whole


class TestSelect:
    """As in MMAction2."""

    def test_the_two_that_move_most_in_that_order(self):
        still, walks, runs = (person(i, 20, sway) for i, sway in
                              enumerate((.0, .2, .8)))
        frames = range(20)
        persons = select(20, Track(1, frames, still), Track(2, frames, walks),
                         Track(3, frames, runs))
        np.testing.assert_array_equal(persons,
                                      np.float32([runs, walks]))

    def test_motion_counts_frames_in_which_a_slot_is_used(self):
        """Zeros would spread the coordinates by metres."""
        walks, still = person(0, 20, .2), person(1, 5, 0)
        persons = select(20, Track(1, range(20), walks),
                         Track(2, range(5), still))
        np.testing.assert_array_equal(persons[0], np.float32(walks))
        np.testing.assert_array_equal(persons[1],
                                      np.float32(on(20, 0, still)))

    def test_slots_not_numbers(self):
        """Who is alone in a frame is in the first slot, whoever it is."""
        first, second = person(0, 10, .2), person(1, 10, .2)
        persons = select(20, Track(1, range(10), first),
                         Track(2, range(10, 20), second))
        np.testing.assert_array_equal(
            persons, np.float32([np.concatenate([first, second])]))

    def test_frames_without_anybody_stay(self):
        walks = person(0, 2)
        persons = select(5, Track(1, [1, 3], walks))
        assert persons.shape == (1, 5, 25, 3)
        assert persons.any((0, 2, 3)).tolist() == [0, 1, 0, 1, 0]
        np.testing.assert_array_equal(persons[0, [1, 3]], np.float32(walks))

    def test_at_most_four_slots(self):
        tracks = [Track(i, range(9), person(i, 9, .01)) for i in range(4)]
        runs = Track(9, range(9), person(9, 9, 1.))
        assert select(9, *tracks, runs).shape == (2, 9, 25, 3)
        np.testing.assert_array_equal(
            select(9, *tracks, runs), select(9, *tracks))

    def test_bodies_of_zeros(self):
        zeros, walks = np.zeros((4, 25, 3)), person(0, 4)
        bodies = parse_skeleton(write_text(4, [Track(1, range(4), walks)]))
        for clean in (select_persons, denoise_persons):
            with pytest.raises(BadFileError, match='every coordinate .* is 0'):
                clean(bodies._replace(joints=zeros))


class TestDenoise:
    """As in SGN and CTR-GCN."""

    def test_one_body(self):
        """However short and wide it is."""
        lies = person(0, 3, wide=True)
        persons = denoise(3, Track(1, range(3), lies))
        np.testing.assert_array_equal(persons, centred(lies))
        assert not persons[0, 0, 1].any()

    def test_gaps_and_frames_without_bodies_are_closed(self):
        walks = person(0, 4)
        persons = denoise(9, Track(1, [1, 2, 5, 7], walks))
        np.testing.assert_array_equal(persons, centred(walks))

    @pytest.mark.parametrize(('frames', 'kept'), [(11, 1), (12, 2)])
    def test_short_tracks(self, frames, kept):
        walks, short = person(0, 30), person(1, frames, 0)
        persons = denoise(30, Track(1, range(30), walks),
                          Track(2, range(5, 5 + frames), short))
        assert persons.shape == (kept, 30, 25, 3)
        np.testing.assert_array_equal(
            persons, centred(walks, on(30, 5, short))[:kept])

    def test_all_tracks_short(self):
        tracks = [Track(i, range(11), person(i, 11)) for i in range(2)]
        with pytest.raises(BadFileError, match='none of them for more than '
                           '11 frames'):
            denoise(11, *tracks)

    # 0.69754 of 40 frames are 27.9
    @pytest.mark.parametrize(('bad', 'kept'), [(28, 1), (27, 2)])
    def test_wide_tracks(self, bad, kept):
        walks, chair = person(0, 40, .2), person(1, 40, 0)
        chair[:bad] = person(1, bad, 0, wide=True)
        persons = denoise(40, Track(1, range(40), walks),
                          Track(2, range(40), chair))
        np.testing.assert_array_equal(persons, centred(walks, chair)[:kept])

    def test_the_last_track_stays_however_wide(self):
        first, second = (person(i, 20, 1. - i, wide=True) for i in range(2))
        persons = denoise(20, Track(1, range(20), first),
                          Track(2, range(20), second))
        np.testing.assert_array_equal(persons, centred(second))

    def test_what_is_left_of_two_is_cut_to_its_frames(self):
        walks, short = person(0, 20), person(1, 5)
        persons = denoise(25, Track(1, range(5, 25), walks),
                          Track(2, range(5), short))
        np.testing.assert_array_equal(persons, centred(walks))

    def test_most_motion_first(self):
        walks, runs = person(0, 20, .1), person(1, 20, .5)
        persons = denoise(20, Track(1, range(20), walks),
                          Track(2, range(20), runs))
        np.testing.assert_array_equal(persons, centred(runs, walks))

    def test_motion_over_good_frames(self):
        """A jump in a few wide frames is no motion."""
        walks, jumps = person(0, 20, .1), person(1, 20, .01)
        jumps[3:6] = person(2, 3, wide=True) + [5, 0, 0]
        assert jumps.reshape(-1, 3).var(0).sum() > (
            walks.reshape(-1, 3).var(0).sum())
        persons = denoise(20, Track(1, range(20), jumps),
                          Track(2, range(20), walks))
        np.testing.assert_array_equal(persons, centred(walks, jumps))

    def test_a_person_found_again_goes_on(self):
        """One frame in common is no overlap; the later track has it."""
        first, again = person(0, 20, .3), person(1, 21, .01)
        persons = denoise(40, Track(1, range(20), first),
                          Track(2, range(19, 40), again))
        joined = on(40, 0, first)
        joined[19:] = again
        np.testing.assert_array_equal(persons, centred(joined))

    def test_three_tracks(self):
        """The second person is lost and found, too; the rest is dropped."""
        runs = person(0, 60, .5)
        early, late = person(1, 20, .1), person(2, 30, .05)
        ghost = person(3, 40, .001)
        persons = denoise(60, Track(9, range(60), runs),
                          Track(3, range(20), early),
                          Track(2, range(30, 60), late),
                          Track(1, range(10, 50), ghost))
        second = on(60, 0, early) + on(60, 30, late)
        np.testing.assert_array_equal(persons, centred(runs, second))

    def test_the_second_persons_time_begins_with_the_clip(self):
        """What comes before it is thus dropped, as in the original."""
        runs = person(0, 60, .5)
        late, early = person(1, 20, .1), person(2, 20, .01)
        persons = denoise(60, Track(9, range(60), runs),
                          Track(3, range(30, 50), late),
                          Track(2, range(20), early))
        np.testing.assert_array_equal(persons,
                                      centred(runs, on(60, 30, late)))

    def test_origin_is_the_first_person_in_its_first_frame(self):
        late, early = person(0, 20, .5), person(1, 25, .1)
        persons = denoise(40, Track(1, range(20, 40), late),
                          Track(2, range(25), early))
        expected = centred(on(40, 20, late), on(40, 0, early))
        np.testing.assert_array_equal(persons, expected)
        assert not persons[0, 20, 1].any() and not persons[0, :20].any()

    def test_a_single_person_written_twice(self):
        walks, other = person(0, 20, .1), person(1, 20, .01)
        alone, both = Track(1, range(20), walks), Track(2, range(20), other)
        np.testing.assert_array_equal(
            denoise(20, alone, repeat_single=True), centred(walks, walks))
        np.testing.assert_array_equal(
            denoise(20, alone, both, repeat_single=True),
            centred(walks, other))
