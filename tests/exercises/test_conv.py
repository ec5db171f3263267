"""The exercises of ``08_convolution``: the contract, and what is particular to them."""

from __future__ import annotations

from . import alternatives_conv
from .common import Contract


class TestConvolution(Contract):
    assignment = "08_convolution"
    alternatives = alternatives_conv
