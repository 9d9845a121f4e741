"""Metadata of ONNX files: ours and the onnx package's read each other, and no bytes are fatal."""

import contextlib

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from trap_contract.onnx_metadata import read_properties, with_property

from contract.graphs import onnx_graph

keys = st.text(max_size=12)
values = st.text(max_size=300)


def plain() -> bytes:
    return onnx_graph().SerializeToString()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_properties(data)
        with_property(data, "key", "value")


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_file_is_read_or_a_value_error(place: int, byte: int) -> None:
    data = bytearray(with_property(plain(), "key", "value"))
    data[place % len(data)] = byte
    with contextlib.suppress(ValueError):
        read_properties(bytes(data))


@given(st.dictionaries(keys, values, max_size=4), keys, values)
def test_a_property_is_added_to_those_of_the_onnx_package(earlier: dict[str, str], key: str, value: str) -> None:
    model = onnx_graph()
    helper.set_model_props(model, earlier)
    written = with_property(model.SerializeToString(), key, value)
    assert read_properties(written) == earlier | {key: value}


@given(keys, values)
def test_the_onnx_package_reads_our_property_and_the_untouched_graph(key: str, value: str) -> None:
    model = onnx.load_from_string(with_property(plain(), key, value))
    onnx.checker.check_model(model)
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [(key, value)]
    assert model.graph == onnx_graph().graph


@given(keys, values, values)
def test_a_property_written_twice_is_there_once(key: str, first: str, second: str) -> None:
    twice = with_property(with_property(plain(), key, first), key, second)
    assert twice == with_property(plain(), key, second)


@pytest.mark.parametrize(
    "data",
    [b"\x0b", b"\x02\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 11, b"\x72\x03\x0a\x01\xff", b"\x0d\x00"],
    ids=["group", "field 0", "beyond the end", "endless number", "not UTF-8", "short fixed32"],
)
def test_what_is_not_protobuf_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"byte|utf-8"):
        read_properties(data)
