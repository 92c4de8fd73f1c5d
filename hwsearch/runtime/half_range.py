"""Which engines keep their int8 weights to half the range, because their processor overflows."""

from collections.abc import Mapping


def needs_half_range(runtime: str, fingerprint: Mapping[str, str]) -> bool:
    """Tells whether int8 products overflow unless weights keep to half their range.

    x86-64 without the VNNI instructions adds two products of bytes in 16 bits, and cuts what is
    more. With weights of up to 64 no pair of products is.

    Args:
        runtime: Name of the runtime; only plain names compute on the processor.
        fingerprint: Of the device, as its latency tables have it.
    """
    overflows = fingerprint.get("architecture") == "x86_64" and "vnni" not in fingerprint.get(
        "isa", ""
    )
    return overflows and runtime in ("onnxruntime", "openvino")
