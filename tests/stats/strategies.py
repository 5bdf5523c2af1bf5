"""What the property tests draw from."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

# Few distinct values make atoms, wide floats make continuous cells; real features are either or both.
atoms = st.sampled_from([-1.5, 0.0, 0.25, 1.0, 2.0, 1e9])
floats = st.one_of(atoms, st.floats(-1e3, 1e3), st.floats(allow_nan=False, allow_infinity=False))
samples = hnp.arrays(np.float64, st.integers(1, 300), elements=floats)
raw_numbers = st.lists(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**400), 10**400),
        st.integers(-5, 5),
        st.floats(),
        atoms,
        st.text(max_size=3),
    ),
    max_size=80,
)
raw_categories = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.sampled_from("abc"), st.text(max_size=3)),
    max_size=80,
)
count_vectors = st.lists(st.integers(0, 10**6), min_size=2, max_size=30).filter(any)


def count_pairs(largest: int = 10**6) -> st.SearchStrategy[tuple[list[int], list[int]]]:
    """Two count vectors of the same length, neither of them all zero."""
    return st.integers(2, 30).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(0, largest), min_size=n, max_size=n).filter(any)] * 2)
    )
