"""Damaged files in the suite: a modest number of what `make fuzz` does a hundred thousand times."""

import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import judge, parse_number, printed_unit
from l2hmc_bridge.adapters.formats.lime import container, markup
from l2hmc_bridge.errors import BridgeError
from tests.fuzz.formats import examine
from tests.support import mutations

QUICK = settings(max_examples=150, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    found = mutations.seeds(tmp_path_factory.mktemp("seeds"))
    return found


@pytest.mark.slow
def test_seeds_are_good_and_the_judge_of_acceptance_works(seeds, tmp_path):
    """Negative control: an undamaged file is accepted, one with other links does not pass as it."""
    path = tmp_path / "file"
    for one in seeds:
        path.write_bytes(one.raw)
        assert examine(path, one) == "accepted"
    by_name = {seed.name: seed for seed in seeds}
    path.write_bytes(by_name["ildg"].raw)
    with pytest.raises(AssertionError, match="changed links"):
        examine(path, by_name["ildg"]._replace(numbers=by_name["ildg"].numbers + 1e-9))


@pytest.mark.slow
@settings(QUICK, max_examples=500)
@given(number=st.integers(0, 2**40))
def test_structured_mutations(seeds, tmp_path, number):
    rng = random.Random(number)
    seed = rng.choice(seeds)
    path = tmp_path / "mutated.file"
    path.write_bytes(mutations.mutate(seed.raw, rng))
    examine(path, seed)


@QUICK
@given(head=st.sampled_from([b"BEGIN_HEADER\n", b"\x45\x67\x89\xab\0\1", b"\x87\x4e\0\0",
                             b"\0\0\x4e\x87", b"\x93NUMPY\1\0", b"\xda\xe7\0\0", b""]),
       body=st.binary(max_size=400))
def test_arbitrary_bytes_behind_a_magic(tmp_path, head, body):
    path = tmp_path / "any.file"
    path.write_bytes(head + body)
    try:
        judge(path, files.inspect(path).meta["checks"])
    except BridgeError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        pytest.fail("noise was accepted")


@QUICK
@given(kind=st.text(max_size=130), length=st.integers(0, 2**64 - 1), flags=st.integers(0, 255))
def test_lime_headers(tmp_path, kind, length, flags):
    path = tmp_path / "lime.file"
    head = container.HEADER.pack(container.MAGIC, 1, flags, 0, length, kind.encode()[:128])
    path.write_bytes(head + bytes(40))
    try:
        records, _ = container.scan(path)
    except BridgeError:
        return
    assert all(record.offset + record.length <= path.stat().st_size for record in records)


@QUICK
@given(raw=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_markup(raw):
    try:
        fields = markup.parse(raw)
    except BridgeError:
        return
    assert all(isinstance(text, str) for texts in fields.texts.values() for text in texts)


@QUICK
@given(text=st.text(max_size=80))
def test_any_text_as_number_or_metadata(text):
    assert 0 < printed_unit(text)
    number = parse_number(text)
    assert number is None or abs(number) < float("inf")
    found = metadata.parameters(text)
    assert metadata.beta_of(found) is None or isinstance(metadata.beta_of(found), float)
    trajectory = metadata.trajectory_of(text)
    assert trajectory is None or trajectory >= 0
    assert metadata.integer(text) is None or isinstance(metadata.integer(text), int)


@QUICK
@given(value=st.floats(allow_nan=False, allow_infinity=False, min_value=-1.0, max_value=1.0))
def test_printed_numbers_come_back(value):
    text = metadata.fixed(value)
    assert "." in text and "e" not in text
    assert float(text) == pytest.approx(value, rel=1e-11, abs=1e-30)
