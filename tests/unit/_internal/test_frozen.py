"""Objects that never change, and when two of them are equal."""

import copy
import pickle

import pytest

from nitro_attest import InputError
from nitro_attest._internal.frozen import Frozen, Value, replace
from nitro_attest.verification.core import Limits


class Pair(Value):
    def __init__(self, left, right=None):
        self.__dict__.update(left=left, right=right)


class Other(Pair):
    pass


def test_nothing_can_be_changed_added_or_deleted():
    pair = Pair(1, 2)
    for name in ("left", "middle"):
        with pytest.raises(AttributeError, match=rf"Pair\.{name} cannot be changed"):
            setattr(pair, name, 3)
    with pytest.raises(AttributeError, match=r"Pair\.left cannot be deleted"):
        del pair.left
    assert vars(pair) == {"left": 1, "right": 2}


def test_values_are_equal_by_class_and_content():
    assert Pair(1, 2) == Pair(1, 2)
    assert hash(Pair(1, 2)) == hash(Pair(1, 2))
    assert Pair(1, 2) != Pair(1, 3)
    assert Pair(1, 2) != Other(1, 2)
    assert len({hash(Pair(1, 2)), hash(Pair(1, 3)), hash(Other(1, 2))}) == 3
    assert Pair(1, 2) != (1, 2)


def test_what_is_only_frozen_equals_itself_alone():
    one, another = Frozen(), Frozen()
    assert one == one
    assert one != another


def test_a_value_says_what_it_holds():
    assert repr(Pair("a", b"b")) == "Pair(left='a', right=b'b')"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_is_equal_and_as_frozen(copied):
    pair = copied(Pair(1, 2))
    assert pair == Pair(1, 2)
    with pytest.raises(AttributeError):
        pair.left = 3


def test_a_replacement_is_of_the_same_class_and_checked_by_it():
    assert replace(Other(1, 2), right=3) == Other(1, 3)
    assert replace(Limits(nonce=7), user_data=8) == Limits(nonce=7, user_data=8)
    with pytest.raises(InputError):
        replace(Limits(), nonce=-1)
