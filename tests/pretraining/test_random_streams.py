"""Streams of random numbers."""

from mug_sklearn.pretraining.random_streams import RandomStream


def test_every_purpose_seed_and_position_has_numbers_of_its_own():
    purposes = RandomStream.__members__.values()
    places = [(3,), (4,), (3, 1), (3, 2), (4, 1)]
    draws = {
        purpose.generator(*place).random() for purpose in purposes for place in places
    }
    assert len(draws) == len(purposes) * len(places)
